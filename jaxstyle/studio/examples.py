"""The pictures that come with the project."""

from functools import cache
from pathlib import Path

KINDS = ("photos", "styles")


@cache
def folder() -> Path:
    """Return the folder with the example pictures: in the package, or in a checkout of it."""
    packaged = Path(__file__).parent / "examples"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "examples"


def pictures(kind: str) -> list[Path]:
    """Return the example photos or style pictures; none where they were not installed."""
    return sorted((folder() / kind).glob("*.jpg"))


def picture(name: str) -> Path | None:
    """Return an example picture by its name, such as ``photos/coffee``."""
    for kind in KINDS:
        for path in pictures(kind):
            if name == f"{kind}/{path.stem}":
                return path
    return None
