"""Image input, output and processing.

An image is a float32 array of shape (height, width, 3) with sRGB values in [0, 1]. This package
reads, writes and resizes images (`read`, `write`, `resize`). Its modules transfer colors (`color`,
`histogram`), filter (`guided_filter`, `affine`, `full_size`) and combine several images into one
(`grid`, `timelapse`).
"""

from jaxstyle.errors import ImageError
from jaxstyle.images._array import from_levels, to_levels
from jaxstyle.images._read import (
    EXTENSIONS,
    Picture,
    expand_folders,
    open_file,
    read,
    read_description,
    read_sides,
)
from jaxstyle.images._write import (
    check_directory,
    check_format,
    check_target,
    check_writable,
    encoded,
    replace_file,
    write,
    write_text,
    write_unused,
)
from jaxstyle.images.resample import RESAMPLINGS, resize

__all__ = [
    "EXTENSIONS",
    "RESAMPLINGS",
    "ImageError",
    "Picture",
    "check_directory",
    "check_format",
    "check_target",
    "check_writable",
    "encoded",
    "expand_folders",
    "from_levels",
    "open_file",
    "read",
    "read_description",
    "read_sides",
    "replace_file",
    "resize",
    "to_levels",
    "write",
    "write_text",
    "write_unused",
]
