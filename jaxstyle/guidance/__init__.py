"""Spatial guidance: masks that assign regions of the content to regions of the styles.

`masks` reads regions from masks, `cluster` finds them automatically, `propagate` computes their
guides at the layers of the network, `figure` draws them, and `recolor` transfers colors region by
region.
"""
