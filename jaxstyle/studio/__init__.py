"""The studio: a web page to paint with. Start reading at `page`, what happens on it.

A browser fills in a form (`layout`, `controls`, `form`) and asks for work (`work`), which waits in
one line for one device (`line`). What it looks like meanwhile is a `View` (`view`, drawn by
`easel`), and what it makes goes into a folder of ordinary pictures (`history`). `regions` makes
masks of what was painted on a picture. `server` says who may ask for what; `live` shows a single
run of the command line.
"""
