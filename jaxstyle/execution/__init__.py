"""How a run is computed: at which sizes, by which strategy, in how much memory.

`pyramid` and `plan` settle the scales; `ways` chooses how a scale is computed (whole, with
checkpoints, in `tiles`, split over devices by `space`); `formulation` builds its objective, state
and program; `memory`, `footprint` and `estimate` predict bytes and seconds.
"""
