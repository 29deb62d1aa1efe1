"""Exact losses and gradients of pictures larger than memory, computed tile by tile.

`grid` defines tiles and halos, `network` the features of a tile, `passes` the mathematics,
`objective` the losses and gradients of a picture, and `program` the optimizer step.
"""
