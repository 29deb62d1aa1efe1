"""Convert published VGG-19 weights to one HDF5 format (`python -m convert_weights`)."""
