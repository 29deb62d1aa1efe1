"""Make sheets for blind judging, and count the answers.

    python examples/duel.py A/ B/ -o SHEETS/ --key key.json
    python examples/duel.py --key key.json --count ANSWERS.json [ANSWERS.json ...]

A/ and B/ have pictures of the same names. Each name gives a sheet SHEETS/NN.png: the two pictures
side by side, as "left" and "right". Each folder is on the left as often as the other, in random
order; the key says where. Judges see the sheets alone, and each writes a file of answers:
{"01": "left", "02": "tie", "03": "right"}.
"""

import argparse
import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

GAP, BAND = 16, 40
SIDES = ("left", "right")

Key = dict[str, dict[str, str]]
"""Of each sheet the name of its pictures, and the folder of each side."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the sheets and their key, or print the count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="A/ and B/")
    parser.add_argument("-o", "--output", type=Path, metavar="SHEETS", help="folder of the sheets")
    parser.add_argument("--key", type=Path, required=True, help="file of the key, not in SHEETS")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sides (default: 0)")
    parser.add_argument("--height", type=int, default=512, help="of the pictures (default: 512)")
    parser.add_argument("--count", nargs="+", type=Path, metavar="ANSWERS.json")
    given = parser.parse_args(arguments)
    if given.count:
        key = json.loads(given.key.read_text())
        answers = [json.loads(path.read_text()) for path in given.count]
        print(table(count(key, answers)))
        return
    if len(given.folders) != 2 or not given.output:
        parser.error("give two folders and -o SHEETS, or --count ANSWERS.json")
    if given.key.resolve().parent == given.output.resolve():
        parser.error("the key would be among the sheets: judges must not see it")
    first, second = map(names_in, given.folders)
    if first != second or not first:
        parser.error(f"the folders need pictures of the same names: {sorted(first ^ second)}")
    key = shuffled(sorted(first), [str(folder) for folder in given.folders], given.seed)
    given.output.mkdir(parents=True, exist_ok=True)
    for number, row in key.items():
        sheet(row, given.height).save(given.output / f"{number}.png")
    given.key.write_text(json.dumps(key, indent=2) + "\n")


def names_in(folder: Path) -> set[str]:
    """The names of the pictures in a folder."""
    known = Image.registered_extensions()
    return {path.name for path in folder.iterdir() if path.suffix.lower() in known}


def shuffled(names: Sequence[str], folders: Sequence[str], seed: int) -> Key:
    """Number the names from 01 on, and give each folder a side."""
    swapped = [index % 2 == 1 for index in range(len(names))]
    random.Random(seed).shuffle(swapped)
    key = {}
    for number, (name, swap) in enumerate(zip(names, swapped, strict=True), 1):
        left, right = reversed(folders) if swap else folders
        key[f"{number:02}"] = {"name": name, "left": left, "right": right}
    return key


def sheet(row: Mapping[str, str], height: int) -> Image.Image:
    """Two pictures side by side, with nothing beneath but their sides."""
    pictures = [fitted(Path(row[side]) / row["name"], height) for side in SIDES]
    width = sum(picture.width for picture in pictures) + 3 * GAP
    page = Image.new("RGB", (width, height + GAP + BAND), "white")
    draw, font, left = ImageDraw.Draw(page), ImageFont.load_default(20), GAP
    for side, picture in zip(SIDES, pictures, strict=True):
        page.paste(picture, (left, GAP))
        middle = left + picture.width / 2, GAP + height + BAND / 2
        draw.text(middle, side, "black", font, anchor="mm")
        left += picture.width + GAP
    return page


def fitted(path: Path, height: int) -> Image.Image:
    """A picture at a height."""
    with Image.open(path) as picture:
        width = max(1, round(picture.width * height / picture.height))
        return picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)


def count(key: Key, judges: Iterable[Mapping[str, str]]) -> Counter[str]:
    """Count the wins of each folder, and the ties, over all judges."""
    wins = Counter({row[side]: 0 for row in key.values() for side in SIDES} | {"tie": 0})
    for number, answer in (item for answers in judges for item in answers.items()):
        if number not in key or answer not in (*SIDES, "tie"):
            raise SystemExit(f"not an answer: {json.dumps({number: answer})}")
        wins[key[number].get(answer, answer)] += 1
    return wins


def table(wins: Counter[str]) -> str:
    """The count in lines, the winner first and ties last."""
    ranked = [f"{wins[name]:4}  {name}" for name, _ in wins.most_common() if name != "tie"]
    return "\n".join([*ranked, f"{wins['tie']:4}  ties"])


if __name__ == "__main__":
    main()
