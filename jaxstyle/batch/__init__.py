"""Style transfer of many pictures: sweeps and folders, on one machine or a Ray cluster."""
