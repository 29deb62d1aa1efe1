"""Execution of a run: the sizes of its scales, their execution strategies, memory and time.

`plan` computes the sizes of all pictures at every scale; `inputs` is what an objective is made of.
A `strategy` computes a scale: whole, with checkpoints, in `tiles`, `sharded` over devices, or many
pictures `batched`; `choice` decides which. `memory` and `estimate` predict bytes and seconds;
`compilation` counts, caches and prepares programs in the background.
"""
