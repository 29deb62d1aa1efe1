"""How close the presets come to the systems they are named after: the tables of docs/systems.md.

    python docs/check_systems.py -o docs/systems.md

Scores the pictures of tests/systems under every published preset, in float32 and in float64, and
compares each term with the values recorded there by an independent program. ``--pair FOLDER`` does
the same for a folder with image.png, content.png, style.png and a values.json of its own. With -o
both tables are put into the file, between their markers; otherwise they are printed.
"""

import argparse
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import jax

from jaxstyle import Settings, resolve
from jaxstyle.images.sizes import ladder_of
from jaxstyle.network import weights
from jaxstyle.presets import ALIASES, PRESETS
from jaxstyle.runs.score import score

SYSTEMS = Path(__file__).resolve().parents[1] / "tests" / "systems"
PUBLISHED = [name for name, preset in PRESETS.items() if preset.link]

ALIKE = {
    "deep-photo": "neural-style",
    "ruder": "neural-style",
    **dict.fromkeys(("gatys-guided", "gatys-guided-inside", "gatys-guided-all"), "gatys-2017"),
}
"""Systems that, without masks and for a frame alone, measure what another one does."""

SIZES = {
    "longest": "longest side {}",
    "longest-floor": "longest side {}, the other rounded down",
    "shortest": "shortest side {}",
    "height": "height {}",
    "area": "{0} x {0} pixels in all",
    "own": "the photo's own",
}
RESAMPLINGS = {
    "lanczos": "Lanczos, bicubic to enlarge",
    "area": "area average, linear to enlarge",
    "linear": "linear, not antialiased",
}
STYLE_SIZES = {
    "size": "by the same rule",
    "no-enlarging": "by the same rule, never enlarged",
    "width": "the photo's width",
    "stretch": "the photo's, stretched",
}

Values = Mapping[str, Mapping[str, float]]
Errors = Mapping[str, tuple[float, float]]


def recorded(path: Path) -> Values:
    """Terms by system."""
    systems = json.loads(path.read_text())["values"]
    return {name: values["terms"] for name, values in systems.items()}


def errors(folder: Path, style: str, values: Values, loaded: weights.Loaded) -> Errors:
    """The largest relative error of any term in float32 and in float64, by system."""
    pictures = [folder / name for name in ("image.png", "content.png", style)]

    def largest(name: str, terms: Mapping[str, float], double: bool) -> float:
        with jax.enable_x64(double):
            found = score(*pictures, preset=name, weights_file=loaded).terms
        if not found.keys() >= terms.keys():
            raise SystemExit(f"{name}: has terms {sorted(found)}, recorded are {sorted(terms)}")
        return max(abs(found[term] - value) / abs(value) for term, value in terms.items())

    return {
        name: (largest(name, terms, False), largest(name, terms, True))
        for name, terms in values.items()
    }


def errors_of_tests(loaded: weights.Loaded) -> Errors:
    """On the pictures of tests/systems; where the style is stretched, with one of the same size."""
    found = {}
    for style, stretched in (("style.png", False), ("style_same_size.png", True)):
        values = recorded(SYSTEMS / style.replace("style", "values").replace("png", "json"))
        own = {n: t for n, t in values.items() if (resolve(n).style_fit == "stretch") == stretched}
        own |= {name: own[base] for name, base in ALIKE.items() if base in own}
        found |= errors(SYSTEMS, style, own, loaded)
    return found


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def losses_table(here: Errors, pair: Errors) -> str:
    """What each system is, and how close its preset comes to it."""
    head = ["preset", "system", "what sets it apart", "float32", "float64"]
    if pair:
        head += ["own code: float32", "float64"]

    def row(name: str) -> list[str]:
        preset = PRESETS[name]
        names = [name, *(alias for alias, meant in ALIASES.items() if meant == name)]
        system = f"[{preset.title}]({preset.link})"
        cells = [", ".join(f"`{n}`" for n in names), system, preset.differs]
        cells += map(_error, here[name])
        if pair:
            cells += map(_error, pair.get(name, (None, None)))
        return cells

    return table(head, map(row, PUBLISHED))


def _error(value: float | None) -> str:
    return "" if value is None else f"{value:.0e}"


def runs_table() -> str:
    """What a run does that a score does not show."""
    head = ["preset", "size", "resizing", "style picture", "steps", "start", "optimizer", "pixels"]
    return table(head, ([f"`{name}`", *run_of(resolve(name))] for name in PUBLISHED))


def run_of(settings: Settings) -> list[str]:
    """One row of ``runs_table``."""
    scales = ladder_of(settings.size, settings.smallest_size, settings.scale_factor)
    more = len(settings.photorealism_weight) - 1 + (settings.last_style_loss != "none")
    scales += scales[-1:] * more
    steps = [settings.steps[min(i, len(settings.steps) - 1)] for i in range(len(scales))]
    each = [f"{n} at {scale}" for n, scale in zip(steps, scales, strict=True)]
    return [
        SIZES[settings.size_rule].format(settings.size),
        RESAMPLINGS.get(settings.resampling, settings.resampling),
        STYLE_SIZES[settings.style_fit],
        ", ".join(each) if len(scales) > 1 else str(steps[0]),
        start_of(settings),
        optimizer_of(settings),
        "kept within black and white" if settings.clamp else "unbounded",
    ]


def start_of(settings: Settings) -> str:
    if settings.init in ("content", "colors"):
        return "the photo" + ", in the style's colors" * (settings.init == "colors")
    if settings.noise == "uniform":
        return "uniform noise"
    return f"Gaussian noise, deviation {settings.white * settings.noise_level:g}"


def optimizer_of(settings: Settings) -> str:
    if settings.optimizer == "lbfgs":
        return f"L-BFGS, {settings.history or 100} pairs"
    rate = f"{settings.rate:g} of {settings.white:g}"
    if settings.optimizer == "adam":
        betas = ", ".join(f"{beta:g}" for beta in settings.betas)
        return f"Adam, rate {rate}, betas {betas}, epsilon {settings.epsilon:g}"
    return f"gradient descent, rate {rate}, times {settings.learning_rate_decay:.5g} a step"


def between(text: str, name: str, made: str) -> str:
    """The text with what is between the markers of a table replaced."""
    start, end = f"<!-- {name}: made by docs/check_systems.py -->\n", f"<!-- end of {name} -->"
    before, found, rest = text.partition(start)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise SystemExit(f"there is no place for the table {name!r}: its markers are missing")
    return f"{before}{start}\n{made}\n\n{end}{after}"


def main() -> None:
    """Score everything, then print both tables or put them into a file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pair", type=Path, help="pictures and values of the systems' own code")
    parser.add_argument("--weights", help="a file made by convert_weights")
    parser.add_argument("-o", "--output", type=Path, help="a file with places for the tables")
    given = parser.parse_args()
    loaded = weights.load(weights.find(given.weights))
    pair = {}
    if given.pair:
        pair = errors(given.pair, "style.png", recorded(given.pair / "values.json"), loaded)
    tables = {"losses": losses_table(errors_of_tests(loaded), pair), "runs": runs_table()}
    if given.output is None:
        print("\n\n".join(tables.values()))
        return
    text = given.output.read_text()
    for name, made in tables.items():
        text = between(text, name, made)
    given.output.write_text(text)


if __name__ == "__main__":
    main()
