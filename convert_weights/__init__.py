"""VGG-19 from any file it is published in, as one HDF5 file (`python -m convert_weights`)."""
