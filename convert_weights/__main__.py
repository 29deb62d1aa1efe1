"""Command line of the converter: python -m convert_weights [SOURCE] -o vgg19.h5."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np

from convert_weights.archive import PROJECT, VERSION
from convert_weights.download import is_url
from convert_weights.fetch import fetch_url, fetch_weights
from convert_weights.sources import identify_and_load, load_source
from convert_weights.weights import Weights
from convert_weights.weights_file import check_output, write_weights
from jaxstyle.errors import JaxstyleError, one_line, printable
from jaxstyle.machine.command_line import (
    WRONG_USAGE,
    Parser,
    one_of,
    open_streams,
    output_failure,
    show,
)
from jaxstyle.machine.files import remove_leftovers, sha256
from jaxstyle.machine.temporary import cleaned_up


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit status: 0, 1 (failure), 2 (usage error) or 130 (Ctrl-C).
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        try:
            _run(_parse(words))
        finally:  # also after help or a usage error
            if sys.stdout:
                sys.stdout.flush()
    except KeyboardInterrupt:
        show("interrupted; nothing was written", sys.stderr)
        return 130
    except Exception as error:
        lost = output_failure(error)
        if lost is not None:
            if lost:
                show(f"error: {lost}", sys.stderr)
            return 1 if lost else 0
        if "--debug" in words:
            raise
        expected = isinstance(error, JaxstyleError)
        unexpected = f"unexpected {type(error).__name__}: {one_line(error)} (--debug tells more)"
        show(f"error: {error if expected else unexpected}", sys.stderr)
        return 1
    return 0


def _run(options: argparse.Namespace) -> None:
    if options.info:
        print(describe(options.info))
    else:
        _convert(options)


def describe(path: Path) -> str:
    """Return a readable summary of a weights file in any supported format, several lines long."""
    format_name, weights = identify_and_load(path)
    lines = [
        ("file", printable(str(path))),
        ("format", format_name),
        ("sha256", sha256(path)),
        ("made from", printable(f"{weights.source} (sha256 {weights.source_sha256})")),
        ("input", f"{weights.channel_order} x {weights.scale:g}, minus mean, over std"),
        ("mean", _numbers(weights.mean)),
        ("std", _numbers(weights.std)),
        ("padding", weights.padding),
        ("normalized", "yes" if weights.normalized else "no"),
        ("licence", printable(weights.licence)),
        ("layers", f"{len(weights.layers)} convolutions, {_parameters(weights):,} parameters"),
    ]
    for name, layer in weights.layers.items():
        shape = "x".join(map(str, layer.kernel.shape))
        deviation = np.std(layer.kernel, dtype=np.float64)
        lines.append((name, f"{shape:<13} standard deviation {deviation:.3g}"))
    return "\n".join(f"{label:<11} {value}" for label, value in lines)


def _convert(options: argparse.Namespace) -> None:
    check_output(options.output, options.force)
    remove_leftovers(options.output.parent)
    with cleaned_up():
        weights = _load(options.source, options.normalize)
        write_weights(options.output, weights, options.dtype, options.force)
    size = options.output.stat().st_size / 1e6
    kind = "normalized" if weights.normalized else "not normalized"
    source = f"VGG-19 from {weights.source}"
    show(f"{options.output}: {source}, {kind}, {options.dtype}, {size:.1f} MB", sys.stdout)


def _load(source: str | None, pictures: Path | None) -> Weights:
    if pictures is None:
        return _read(source)
    from convert_weights import normalize  # JAX takes a second to import and is needed only here

    images = normalize.find_pictures(pictures)
    weights = _read(source)
    show(f"measuring mean activations on {len(images)} pictures", sys.stderr)
    means = normalize.mean_activations(weights, images)
    if silent := normalize.silent_filters(means):
        note = f"{silent} filters are never active on these {len(images)} pictures: not rescaled"
        show(note, sys.stderr)
    return normalize.rescale(weights, means)


def _read(source: str | None) -> Weights:
    if source is None:
        show(f"fetching the normalized VGG-19 in {PROJECT} {VERSION}", sys.stderr)
        return fetch_weights()
    return fetch_url(source) if is_url(source) else load_source(Path(source))


class _Parser(Parser):
    def error(self, message: str) -> NoReturn:
        self.exit(WRONG_USAGE, f"error: {printable(message)} (see --help)\n")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _Parser(
        prog="python -m convert_weights",
        description="Convert VGG-19 weights from MatConvNet (.mat), Keras (.h5) or PyTorch (.pth) "
        "to an HDF5 file that also records the input preprocessing. The source format is detected "
        "from the file's content.",
    )
    add = parser.add_argument
    add(
        "source",
        nargs="?",
        metavar="SOURCE",
        help="weights file or URL (default: download the normalized VGG-19)",
    )
    add("-o", "--output", type=Path, default=None, help="file to write (default: vgg19.h5)")
    dtypes = one_of(("float32", "float16"))
    add("--dtype", **dtypes, help="dtype of the kernels (default: float32)")
    add("--force", action="store_true", help="overwrite an existing output file")
    add(
        "--normalize",
        type=Path,
        metavar="IMAGES_DIR",
        help="rescale every filter so that its mean activation over the pictures in this "
        "directory is one",
    )
    add("--info", type=Path, metavar="FILE", help="describe a weights file and exit")
    add("--debug", action="store_true", help="show the traceback if an error occurs")
    options = parser.parse_args(arguments)
    of_conversion = ("source", "output", "normalize", "force", "dtype")
    if options.info and any(getattr(options, name) for name in of_conversion):
        parser.error(
            "--info FILE cannot be combined with SOURCE, -o, --normalize, --force or --dtype"
        )
    options.output = options.output or Path("vgg19.h5")
    options.dtype = options.dtype or "float32"
    return options


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _parameters(weights: Weights) -> int:
    return sum(layer.kernel.size + layer.bias.size for layer in weights.layers.values())


if __name__ == "__main__":
    open_streams()
    sys.exit(main())
