"""Whole runs, from pictures to a picture. Start reading at `stylize`, the main loop.

`texture` and `reconstruct` are variants of it, and `score` evaluates the losses of a given picture.
`preprocessing` makes the initial image and the final one, `regions` the guidance regions. `result`
defines what a run returns, `run_checkpoint` the state it saves, `checkpoint` the file format.
"""
