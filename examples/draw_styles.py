"""Draw the example style pictures into `styles/`.

    python examples/draw_styles.py               all of them
    python examples/draw_styles.py woodcut       only those named

Needs NumPy and Pillow alone. Every picture is seeded: it comes out the same each time.
"""

import argparse
from importlib import import_module
from pathlib import Path

FOLDER = Path(__file__).parent / "styles"
PICTURES = ("brushstrokes", "stained_glass", "woodcut", "mosaic")
JPEG_QUALITY = 92


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the example style pictures.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PICTURES))
    names = parser.parse_args().names or PICTURES
    for name in names:
        if name not in PICTURES:
            parser.error(f"no picture is called {name!r}; there are {', '.join(PICTURES)}")
    FOLDER.mkdir(exist_ok=True)
    for name in names:
        path = FOLDER / f"{name}.jpg"
        image = import_module(f"drawing.{name}").draw()
        image.save(path, quality=JPEG_QUALITY, optimize=True)
        print(f"{path.name}: {image.width} x {image.height}, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
