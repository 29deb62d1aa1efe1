"""Benchmarks measured in this process, by the arguments of their commands."""

from bench.__main__ import add_common
from jaxstyle.cli.flags import Parser

SHALLOW = {"content_layers": "relu1_1", "style_layers": "relu1_1"}


def arguments_of(benchmark, *flags, quick=True):
    """Return the arguments of a benchmark, of a trial run unless told otherwise."""
    parser = Parser(prog="bench")
    add_common(parser)
    benchmark.add_arguments(parser)
    return parser.parse_args([*(["--quick"] if quick else []), *map(str, flags)])


def measured(benchmark, *flags, quick=True):
    """Return the rows that a benchmark measures."""
    return benchmark.measure(arguments_of(benchmark, *flags, quick=quick), lambda line: None)
