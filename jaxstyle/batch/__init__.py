"""Style transfer of many pictures: sweeps, folders of pictures, several devices and hosts."""
