"""Compare `batch` and `sweep` with one `run` per picture, in seconds per picture.

Every command runs in its own process, as users start them, with all programs already in JAX's
persistent compilation cache.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from bench import work
from bench.child import inherited
from bench.markdown import table as markdown
from bench.worker import Row
from jaxstyle import images
from jaxstyle.images import Picture

HELP = "Seconds per picture: batch and sweep against one run per picture."

Show = Callable[[str], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    add = parser.add_argument
    add("--size", type=int, default=128, help="size of the pictures (default: 128)")
    add("--count", type=int, default=16, help="number of pictures (default: 16)")
    add("--rounds", type=int, default=2, help="measurements of each command (default: 2)")
    add(
        "--batch-sizes",
        type=int,
        nargs="+",
        default=[1, 4, 16],
        help="batch sizes to measure (default: 1 4 16)",
    )
    add("--settings", default="", help="flags added to every command, as one quoted string")


def measure(arguments: argparse.Namespace, show: Show) -> list[Row]:
    """Measure every way to make the same pictures; return one row for each."""
    quick = arguments.quick
    size, count, rounds = (
        (32, 2, 1) if quick else (arguments.size, arguments.count, arguments.rounds)
    )
    batch_sizes = [2] if quick else arguments.batch_sizes
    flags = ["--size", f"{size}", "--quiet", *arguments.settings.split()]
    flags += ["--weights", arguments.weights] if arguments.weights else []
    flags += ["--steps", "2"] if quick else []
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        pictures(here, size, count)
        weights = [str(10 ** (2 * i / max(1, count - 1))) for i in range(count)]
        ways = {
            "run, one after another": lambda: single_runs(here, flags, weights),
            **{
                f"batch, {n} at once": lambda n=n: one_command(
                    here,
                    f"batch --contents contents --styles style.png -o out --force --batch-size {n}",
                    flags,
                )
                for n in batch_sizes
            },
            "sweep": lambda: one_command(
                here,
                "sweep contents/0.png style.png -o grid.png --rows none --style-weight "
                + ",".join(weights),
                flags,
            ),
        }
        for name, way in ways.items():  # fills the compilation cache
            show(f"{name}, warm-up")
            way()
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for index in range(rounds):
            for name, way in ways.items():
                show(f"{name}, {index + 1} of {rounds}")
                seconds[name].append(way() / count)
    return rows_of(seconds, size, count)


def rows_of(seconds: dict[str, list[float]], size: int, count: int) -> list[Row]:
    """Return rows with the median seconds per picture and the speedup over the first way.

    Args:
      seconds: seconds per picture of every round, by way; single runs come first.
    """
    first = median(next(iter(seconds.values())))
    return [
        {
            "way": name,
            "size": size,
            "pictures": count,
            "seconds": median(times),
            "low": min(times),
            "high": max(times),
            "ratio": first / median(times),
            "rounds": len(times),
        }
        for name, times in seconds.items()
    ]


def pictures(folder: Path, size: int, count: int) -> None:
    """Write seeded pictures: ``count`` content pictures (contents/0.png, ...) and style.png."""
    (folder / "contents").mkdir()
    for index in range(count):
        images.write(folder / "contents" / f"{index}.png", Picture(work.picture(index, size, size)))
    images.write(folder / "style.png", Picture(work.picture(count, size, size)))


def single_runs(folder: Path, flags: Sequence[str], weights: Sequence[str]) -> float:
    """Run every content picture by a command of its own; return the total seconds."""
    commands = [f"run contents/{index}.png style.png -o out.png" for index in range(len(weights))]
    return sum(one_command(folder, command, flags) for command in commands)


def one_command(folder: Path, command: str, flags: Sequence[str]) -> float:
    """Run a jaxstyle command in a new process; return its wall time in seconds."""
    start = time.perf_counter()
    output_of(folder, [*command.split(), *flags])
    return time.perf_counter() - start


def output_of(folder: Path, words: Sequence[str], **variables: str) -> str:
    """Run a jaxstyle command in a new process; return what it prints on standard output.

    Raises:
      RuntimeError: the command failed; the message is its last line on standard error.
    """
    done = subprocess.run(
        [sys.executable, "-m", "jaxstyle", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**inherited(), **variables},
    )
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])
    return done.stdout


COLUMNS = {
    "way": "way",
    "size": "size",
    "pictures": "pictures",
    "seconds": "seconds per picture",
    "low": "low",
    "high": "high",
    "ratio": "speedup",
}


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table."""
    return markdown(rows, COLUMNS)
