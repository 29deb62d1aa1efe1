"""Clips: frames that are stylized one after the other and hold together. Start at `stylize`.

`feed` reads frames, computes the optical flow between them and finds scene cuts, in the background;
`folder` keeps all of it on disk, with the finished frames, so that a clip goes on after any end;
`motion` moves earlier results along the flow; `score` measures how well a clip holds still.
"""
