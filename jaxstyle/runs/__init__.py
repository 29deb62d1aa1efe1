"""Whole runs, from pictures to a picture. Start reading at `optimize`, the method.

`stylize` runs it for one picture, `texture` and `reconstruct` are variants, and `score` evaluates
the losses of a given picture. `inputs` is what a run is given; `preprocessing` makes the first and
final image, `regions` the guidance regions, `fine_texture` mixed styles, `canvas` what a texture is
made on. `memory` says what would fit. `result` is what a run reports and returns, `recipe` what
repeats it, `run_checkpoint` the state it saves, `checkpoint` the file of it.
"""
