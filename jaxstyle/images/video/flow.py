"""Optical flow: where the pixels of one frame are in another, and files of it."""

import os
import struct
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from jaxstyle.errors import ImageError
from jaxstyle.images import open_file
from jaxstyle.images._write import check_target, replace_file

Flow = Float32[np.ndarray, "height width 2"]
Path = str | os.PathLike[str]

_MAGIC = struct.pack("<f", 202021.25)
_HEAD = struct.Struct("<4sii")
_LONGEST = 32768
_SMALLEST = 32
"""Pixels a side below which OpenCV refuses pictures, or finds no numbers."""


def read_flo(path: Path) -> Flow:
    """Return the optical flow of a Middlebury .flo file.

    Returns:
      For each pixel, how far right and how far down it moves, in pixels. What is unknown is larger
      than 1e9 there, by the convention of that format.

    Raises:
      ImageError: The file cannot be read, is no .flo file, or is truncated.
    """
    name = os.fspath(path)
    with open_file(name) as file:
        head = file.read(_HEAD.size)
        if len(head) < _HEAD.size or head[:4] != _MAGIC:
            raise ImageError(f"{name}: is no optical flow: give a .flo file of Middlebury's format")
        _, width, height = _HEAD.unpack(head)
        if not (0 < width <= _LONGEST and 0 < height <= _LONGEST):
            raise ImageError(
                f"{name}: is damaged, or too large: {width}x{height} pixels, where 1 to {_LONGEST} "
                "a side are possible"
            )
        wanted = height * width * 8
        data = file.read(wanted + 1)
    if len(data) != wanted:
        problem = "is truncated" if len(data) < wanted else "has more data than its header says"
        raise ImageError(f"{name}: {problem}: make it again")
    return np.frombuffer(data, "<f4").reshape(height, width, 2).astype(np.float32)


def write_flo(path: Path, flow: Flow) -> None:
    """Write optical flow as a Middlebury .flo file, as a whole.

    Args:
      path: A .flo file in an existing folder.
      flow: For each pixel, how far right and how far down it moves, in pixels.

    Raises:
      ImageError: The file cannot be written. An existing file is left unchanged.
    """
    check_target(path, (".flo",))
    height, width, _ = flow.shape
    replace_file(path, _HEAD.pack(_MAGIC, width, height) + flow.astype("<f4").tobytes())


def check_flow() -> None:
    """Check before a run that `optical_flow` will work.

    Raises:
      ImageError: OpenCV is not installed.
    """
    _opencv()


def optical_flow(
    one: UInt8[np.ndarray, "height width 3"], other: UInt8[np.ndarray, "height width 3"]
) -> Flow:
    """Return where the pixels of one frame are in another, by the DIS method of OpenCV.

    The result does not depend on the number of threads. Frames of less than 32 pixels a side are
    continued by their last row or column for it.

    Args:
      one: A frame.
      other: Another of the same size, such as the next one.

    Returns:
      For each pixel of `one`, how far right and how far down it is in `other`, in pixels.

    Raises:
      ImageError: The sizes differ, or OpenCV is not installed.
    """
    if one.shape != other.shape:
        raise ImageError(
            f"optical flow needs frames of one size, not of {one.shape[1]}x{one.shape[0]} and "
            f"{other.shape[1]}x{other.shape[0]} pixels"
        )
    cv2 = _opencv()
    height, width, _ = one.shape
    # A new one for each call: it keeps the flow of the call before.
    method = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow = method.calc(_gray(one), _gray(other), None)
    return np.ascontiguousarray(flow[:height, :width])


def _gray(frame: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "rows columns"]:
    """Return the brightness of a frame, which is continued if it is small."""
    cv2 = _opencv()
    gray = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
    missing = [(0, max(0, _SMALLEST - side)) for side in gray.shape]
    return np.pad(gray, missing, mode="edge")


def _opencv() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise ImageError(
            "optical flow needs OpenCV: pip install 'jaxstyle[video]', or give files of it"
        ) from error
    return cv2
