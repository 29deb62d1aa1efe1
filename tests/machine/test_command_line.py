"""What command lines have in common."""

import pytest

from jaxstyle.errors import did_you_mean
from jaxstyle.machine.command_line import Parser, flag, one_of, output_failure
from tests.cases import for_each

WORDS = ["content", "noise", "colors", "conv2_1", "conv5_3"]


@for_each(
    ("word", "meant"),
    [
        ("contents", "content"),
        ("NOISE", "noise"),
        ("Nose", "noise"),
        ("conv2_3", "conv2_1"),
        ("colours", "colors"),
        ("col", "colors"),
    ],
)
def test_the_nearest_word_is_suggested(word, meant):
    assert did_you_mean(word, WORDS) == f": did you mean {meant}?"


def test_the_dashes_of_flags_make_no_words_alike():
    flags = ["--steps", "--refine", "--bits", "--size-rule", "--size"]
    assert did_you_mean("--batch", flags) == ""
    assert did_you_mean("--siz", flags) == ": did you mean --size?"


@for_each("word", ["", "painting.png", "x" * 100_000, "\x1b[31m"])
def test_nothing_is_suggested_where_nothing_is_near(word):
    assert did_you_mean(word, WORDS) == ""


@pytest.fixture
def refused(capsys):
    """A function from arguments to the line with which a parser refuses them."""

    def elsewhere(name):
        return ": it is a flag of another" if name == "--other" else ""

    parser = Parser(elsewhere, prog="test")
    parser.add_argument("pictures", nargs="*")
    parser.add_argument("-o", "--output", required=True)
    parser.add_argument("--pairs", **one_of(("product", "zip")), default="product")
    parser.add_argument("--style-weight", type=float)

    def check(*arguments):
        for parse in (parser.parse_args, parser.parse_intermixed_args):
            with pytest.raises(SystemExit) as stop:
                parse(arguments)
            assert stop.value.code == 2
        first, second = capsys.readouterr().err.splitlines()
        assert first == second
        assert first.isprintable()
        assert first.startswith("test: ")
        return first

    check.parser = parser
    return check


@for_each(
    ("arguments", "said"),
    [
        (["--outptu", "a"], "unrecognized arguments: --outptu: did you mean --output?"),
        (["--style_weight=3"], "unrecognized arguments: --style_weight: did you mean --style-weig"),
        (["a", "--stile-weight", "3", "b"], "--stile-weight: did you mean --style-weight?"),
        (["--other"], "unrecognized arguments: --other: it is a flag of another (see --help)"),
        (["--zzz"], "unrecognized arguments: --zzz (see --help)"),
        (["-o", "a", "--pairs", "zipp"], "'zipp' is not one of product, zip: did you mean zip?"),
        (["-o", "a", "--pairs", "\x1b[31m\nred"], "is not one of product, zip (see --help)"),
        (["-o", "a", "--style-weight", "\x1b[31mred"], "invalid float value"),
        (["--\x1b[31mred"], "unrecognized arguments: --?[31mred"),
        (["a"], "the following arguments are required: -o/--output"),
        (["--out", "a"], "unrecognized arguments: --out: did you mean --output?"),
    ],
)
def test_wrong_usage_is_one_line_with_a_suggestion(refused, arguments, said):
    assert said in refused(*arguments)


def test_what_follows_two_dashes_is_no_flag(refused):
    parsed = refused.parser.parse_args(["-o", "a", "--pairs", "zip", "--", "--zzz"])
    assert (parsed.pictures, parsed.pairs) == (["--zzz"], "zip")


def test_a_flag_of_a_name():
    assert flag("style_weight") == "--style-weight"


def test_only_errors_of_standard_output_are_its():
    for other in (ValueError("a"), OSError(28, "full"), OSError(28, "full", "a.png")):
        assert output_failure(other) is None
