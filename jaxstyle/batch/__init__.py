"""Many pictures: grids of settings, folders of pictures, devices and hosts."""
