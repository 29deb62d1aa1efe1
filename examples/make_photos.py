"""Save the example content photos, from scikit-image's own sample data, as JPEGs in `photos/`.

Needs scikit-image (the pictures ship inside its wheel, nothing is downloaded) and Pillow:

    python examples/make_photos.py

`README.md` beside this script says who made each photo and under which licence.
"""

from pathlib import Path

import skimage.data
from PIL import Image

FOLDER = Path(__file__).parent / "photos"
LONGEST_SIDE = 640
PHOTOS = {
    "chelsea": skimage.data.chelsea,
    "coffee": skimage.data.coffee,
    "rocket": skimage.data.rocket,
    "astronaut": skimage.data.astronaut,
    "hubble": skimage.data.hubble_deep_field,
}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, load in PHOTOS.items():
        photo = Image.fromarray(load())
        photo.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)  # never enlarges
        path = FOLDER / f"{name}.jpg"
        photo.save(path, quality=90, optimize=True)
        print(f"{path.name}: {photo.width} x {photo.height}, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
