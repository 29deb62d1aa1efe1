"""Regions: masks of pictures, and what the losses are told of them.

`masks` reads them; `cluster` finds them in pictures; `propagate` takes them through the network;
`figure` draws them; `recolor` moves the colors of a photo region by region.
"""
