"""Execution of a run: the sizes of its scales, their execution strategies, memory and time.

`pyramid` and `plan` compute the sizes of all pictures at every scale. `strategy` defines how a
scale is computed: whole, with checkpoints, in `tiles`, or split over devices (`sharding`).
`formulation` builds the objective, the state and the program of a scale. `memory`, `footprint` and
`estimate` predict bytes and seconds; `footprint` also chooses the strategy.
"""
