"""Tasks done by workers: by one in this process, or by those of a Ray cluster.

A worker does a task in three stages, so that it can read the next and write the previous one while
the devices compute. Nothing here knows what the tasks are. `local` and `cluster` have the same
methods.
"""
