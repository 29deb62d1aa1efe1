"""The studio: a web page to paint with. Start reading at `page`.

A browser asks for work (`work`), which waits in one line for one device (`line`). What it looks
like meanwhile is a `View` (`view`, drawn by `easel`), and what it makes goes into a folder of
ordinary pictures (`history`). `controls` makes form fields of the settings, `regions` masks of what
was painted on a picture. `server` serves the page: who may ask for what.

Of the extra ``jaxstyle[studio]``, only `page`, `controls` and `server` need the packages.
"""
