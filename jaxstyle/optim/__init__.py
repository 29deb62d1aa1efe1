"""Optimization of the image: Optax transformations, one step, many steps.

`lbfgs` is L-BFGS as in Torch; `optimizers` lists all by name; `step` is one pure step; `program`
compiles it; `solve` takes many, reports, and recovers from steps that are not finite.
"""
