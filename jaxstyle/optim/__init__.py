"""Optimization of the image with Optax transformations.

`lbfgs` is L-BFGS as in Torch; `optimizers` lists all optimizers by name; `step` is one optimization
step as a pure function; `solve` compiles it, and is the loop that takes many steps, reports, and
retries after values that are not finite.
"""
