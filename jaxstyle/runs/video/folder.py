"""The folder of a clip: what is known of each frame, and what has been made of it.

    clip.json                  what the frames depend on
    frame-000001.png           finished frames, counted from 1
    content/000001.png, .json  frames of the content at the size of the result, and their scenes
    masks/1-000001.png         frames of the masks that are clips
    flow/backward_2_1.flo      flow from frame 2 to frame 1, named as the authors' programs do
    flow/forward_1_2.flo       flow from frame 1 to frame 2
    results/1-000001.png       results of the first pass, that earlier frames are warped from

Every file is replaced at once, and later ones depend on earlier ones alone. So a clip that ended at
any moment goes on to the same frames, byte for byte.
"""

import io
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from jaxstyle import images
from jaxstyle.errors import CheckpointError, DamagedError, ImageError, message_of
from jaxstyle.images import Picture
from jaxstyle.images.video.flow import read_flo, write_flo
from jaxstyle.machine.files import remove_leftovers, write_whole
from jaxstyle.machine.lock import taken_by
from jaxstyle.machine.plain_json import parsed
from jaxstyle.runs.result import Result
from jaxstyle.runs.run_checkpoint import differences
from jaxstyle.settings import Settings

Pixels = UInt8[np.ndarray, "h w 3"]
Flow = Float[np.ndarray, "h w 2"]

RECORD = "clip.json"
KEPT, DELETED = "clip-keep.json", "clip-delete.json"
"""Names that the record gets at the end, while all is deleted except the frames, or all."""

LOCK = ".lock"


@dataclass(frozen=True)
class Scene:
    """Where a frame is: in the scene that begins with frame ``first``."""

    first: int


@dataclass(frozen=True)
class Folder:
    """The folder of a clip.

    Attributes:
      path: the folder.
      flows: folder of flow files that the user has given, None to compute them.
    """

    path: Path
    flows: Path | None = None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out of the folder during the block; create it if there is none.

        Raises:
          CheckpointError: another process is working in it, or it holds something else.
        """
        self._made_by()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise CheckpointError(f"{self.path}: cannot be written: {error.strerror}") from error
        try:
            if (who := taken_by(descriptor)) is not None:
                problem = f"another process{who} is working there: wait for it to end"
                raise CheckpointError(f"{self.path}: {problem}, or name another output")
            yield
        finally:
            os.close(descriptor)  # releases the lock

    def _made_by(self) -> dict[str, Any] | None:
        """Return what the frames that are there depend on; None if there are none yet.

        Raises:
          CheckpointError: the folder holds something else, or is damaged.
        """
        if any((self.path / name).exists() for name in (KEPT, DELETED)):
            return None  # its deletion was interrupted, and is completed first
        record = self.path / RECORD
        try:
            return parsed(record.read_bytes(), dict[str, Any])
        except (FileNotFoundError, NotADirectoryError):
            pass
        except (DamagedError, OSError) as error:
            raise CheckpointError(f"{record}: {message_of(error)}: delete the folder") from error
        if self.path.exists():
            if self.path.is_dir():
                remove_leftovers(self.path)
            if not _is_empty(self.path):
                problem = "is not empty, and frames need a folder of their own: name another"
                raise CheckpointError(f"{self.path}: {problem}")
        return None

    def begin(self, made_by: Mapping[str, Any]) -> None:
        """Create the folder, or go on with what is there.

        Args:
          made_by: everything the frames depend on, by name.

        Raises:
          CheckpointError: it holds something else, or frames of other settings.
        """
        self._finish()
        before = self._made_by()
        if before is not None and (changed := differences(before, made_by)):
            if self.count_results():
                raise CheckpointError(
                    f"{self.path}: holds frames made with another {', '.join(changed[:5])}: "
                    "delete the folder to start afresh, or name another output"
                )
            self._forget()  # there are no results: nothing is lost
            before = None
        self.path.mkdir(parents=True, exist_ok=True)
        if before is None:  # first of all: without it the folder would be taken for another's
            write_whole(self.path / RECORD, json.dumps(made_by).encode())
        for name in ("content", "masks", "flow", "results"):
            (self.path / name).mkdir(exist_ok=True)
            remove_leftovers(self.path / name)
        remove_leftovers(self.path)

    # --- frames -----------------------------------------------------------------------------------

    def frame(self, number: int) -> Path:
        """Return the path of a finished frame."""
        return self.path / f"frame-{number:06}.png"

    def frames(self) -> list[Path]:
        """Return the paths of the finished frames, in their order, up to the first that lacks."""
        found = []
        while self.frame(len(found) + 1).exists():
            found.append(self.frame(len(found) + 1))
        return found

    def save_frame(self, number: int, result: Result, description: str) -> None:
        """Write a finished frame."""
        images.write(self.frame(number), Picture(result.image), description=description)

    def result(self, of_pass: int, number: int) -> Path:
        """Return the path of the result of a frame in a pass."""
        return self.path / "results" / f"{of_pass}-{number:06}.png"

    def save_result(self, of_pass: int, number: int, image: Float[np.ndarray, "h w 3"]) -> None:
        """Write the result of a frame in a pass."""
        write_pixels(self.result(of_pass, number), images.to_levels(image))

    def has_result(self, of_pass: int, number: int) -> bool:
        """Return whether a frame has a result in a pass, or had one that a later pass replaced."""
        return self.result(of_pass, number).exists() or self._forgotten(of_pass, number).exists()

    def count_results(self) -> int:
        """Return the number of results of all passes, those included that were replaced."""
        return len({path.stem for path in (self.path / "results").glob("[0-9]*")})

    def forget_results(self, of_pass: int, numbers: Iterable[int]) -> None:
        """Delete the results of frames in a pass, which a later pass has replaced."""
        for number in numbers:
            self._forgotten(of_pass, number).touch()
            self.result(of_pass, number).unlink(missing_ok=True)

    def _forgotten(self, of_pass: int, number: int) -> Path:
        return self.result(of_pass, number).with_suffix(".done")

    # --- what frames are made from ----------------------------------------------------------------

    def content(self, number: int) -> Path:
        """Return the path of a frame of the content."""
        return self.path / "content" / f"{number:06}.png"

    def mask(self, index: int, number: int) -> Path:
        """Return the path of a frame of a mask."""
        return self.path / "masks" / f"{index}-{number:06}.png"

    def with_masks(self, settings: Settings, number: int) -> Settings:
        """Return settings in which each mask that is a clip is replaced by its frame."""
        paths = [
            str(own) if (own := self.mask(index, number)).exists() else path
            for index, path in enumerate(settings.content_mask)
        ]
        return replace(settings, content_mask=tuple(paths))

    def scene(self, number: int) -> Scene | None:
        """Return the scene of a frame that is ready to be worked on, None for one that is not."""
        path = self.content(number).with_suffix(".json")
        try:
            return parsed(path.read_bytes(), Scene)
        except FileNotFoundError:
            return None

    def save_scene(self, number: int, first: int) -> None:
        """Say that a frame is ready, and in which scene it is."""
        data = json.dumps({"first": first}).encode()
        write_whole(self.content(number).with_suffix(".json"), data)

    def flow_file(self, number: int, other: int) -> Path:
        """Return the path of the flow from a frame to another."""
        way = "forward" if other > number else "backward"
        return (self.flows or self.path / "flow") / f"{way}_{number}_{other}.flo"

    def flow(self, number: int, other: int) -> Flow:
        """Read the flow from a frame to another."""
        return read_flo(self.flow_file(number, other))

    def save_flow(self, number: int, other: int, flow: Flow) -> None:
        """Write the flow from a frame to another."""
        write_flo(self.flow_file(number, other), flow)

    # --- the end ----------------------------------------------------------------------------------

    def keep_frames_alone(self) -> None:
        """Delete all but the finished frames."""
        os.replace(self.path / RECORD, self.path / KEPT)
        self._finish()
        (self.path / LOCK).unlink(missing_ok=True)

    def delete(self) -> None:
        """Delete the folder with what a clip has put there, and nothing else."""
        os.replace(self.path / RECORD, self.path / DELETED)
        self._finish()
        (self.path / LOCK).unlink(missing_ok=True)
        if _is_empty(self.path):
            self.path.rmdir()

    def _finish(self) -> None:
        """Complete a deletion: the record goes last, so that it is known to be one."""
        for name in (KEPT, DELETED):
            if not (self.path / name).exists():
                continue
            self._forget()
            for path in self.path.glob("frame-*.png") if name == DELETED else ():
                if path.stem.removeprefix("frame-").isdigit():
                    path.unlink()
            (self.path / name).unlink()

    def _forget(self) -> None:
        """Delete what is kept of the frames, and the record."""
        for name in ("content", "masks", "flow", "results"):
            shutil.rmtree(self.path / name, ignore_errors=True)
        (self.path / RECORD).unlink(missing_ok=True)


def pixels_of(path: Path) -> Pixels:
    """Return the pixels of a picture that this program wrote: sRGB, as they are in the file.

    Raises:
      ImageError: it is missing or damaged.
    """
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"))
    except OSError as error:
        problem = f"cannot be read ({message_of(error)})"
        raise ImageError(f"{path}: {problem}: delete the folder, or name another output") from error


def image_of(path: Path) -> Float[np.ndarray, "h w 3"]:
    """Return a picture that this program wrote, in [0, 1]."""
    return images.from_levels(pixels_of(path))


def write_pixels(path: Path, pixels: Pixels) -> None:
    """Write pixels as a PNG.

    Raises:
      ImageError: it cannot be written.
    """
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "PNG", compress_level=1)
    images.replace_file(path, encoded.getvalue())


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not {*os.listdir(folder)} - {LOCK}
