"""Whole runs: start reading at `stylize`, the method from pictures to picture.

`texture` and `reconstruct` are variants of it; `score` measures a picture; `regions` finds the
regions a run asks for; `result` is what a run returns, `saved` and `checkpoint` what it keeps.
"""
