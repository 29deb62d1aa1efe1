"""The environment of a command: closed streams, full disks, no home folder, variables of JAX."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from jaxstyle.__main__ import main
from jaxstyle.cli import common, failures
from jaxstyle.cli.environment import PREFIXES
from jaxstyle.machine.command_line import OUTPUT
from jaxstyle.settings import resolve
from tests.cases import for_each
from tests.cli.conftest import ONE_SCALE, OUT, PAIR
from tests.processes import SMALL_COMMAND, process_environment

COSTS = "anew in each run, as nothing can be kept for the next"


@pytest.fixture
def no_variables(monkeypatch):
    """No variables for JAX, as far as messages are concerned."""
    for name in [name for name in os.environ if name.startswith(PREFIXES)]:
        monkeypatch.delenv(name)


def failing(error):
    raise error


def status_of(error, debug=False):
    return failures.exit_status(partial(failing, error), debug)


def test_an_unexpected_error_names_the_variables_that_may_be_to_blame(
    no_variables, capsys, monkeypatch
):
    assert status_of(AssertionError()) == 1
    said = "jaxstyle: unexpected AssertionError (--debug shows where)\n"
    assert capsys.readouterr().err == said
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    monkeypatch.setenv("XLA_FLAGS", "--a\x1b[31m\n--b")
    assert status_of(ValueError("x" * 999)) == 1
    line = capsys.readouterr().err
    assert "because of JAX_PLATFORMS=cuda, XLA_FLAGS=--a?[31m --b: try without" in line
    assert (line.count("\n"), len(line) < 400) == (1, True)
    with pytest.raises(AssertionError):
        status_of(AssertionError(), debug=True)


def test_what_jax_adds_about_tracebacks_is_left_out(no_variables, capsys):
    error = RuntimeError("a")
    error.add_note("--------------------\nFor simplicity, JAX has removed its frames")
    error.add_note("saved as b.png")
    assert status_of(error) == 1
    said = "jaxstyle: unexpected RuntimeError: a (--debug shows where): saved as b.png\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("debug", [False, True])
def test_output_that_cannot_be_written_is_a_failure_unless_nobody_reads(capsys, monkeypatch, debug):
    monkeypatch.setattr(os, "dup2", lambda *descriptors: None)
    assert status_of(OSError(28, "No space left on device", OUTPUT), debug) == 1
    said = "jaxstyle: standard output cannot be written: No space left on device\n"
    assert capsys.readouterr().err == said
    assert status_of(BrokenPipeError(32, "Broken pipe", OUTPUT), debug) == 0
    assert capsys.readouterr().err == ""


def test_a_pipe_that_is_a_file_of_the_command_is_no_broken_output(capsys):
    assert status_of(BrokenPipeError(32, "Broken pipe", "out.fifo")) == 1
    assert "out.fifo" in capsys.readouterr().err


@for_each("hostile", ["a\nb.png", "\x1b[31mred.png", "a\u202eb.png", "\udcff.png", "[red]\x9b.png"])
def test_names_from_outside_cannot_change_a_message(folder, capsys, hostile):
    for arguments in (
        ["run", hostile, "style.png", "-o", "out.png"],
        ["run", *PAIR, "-o", f"no/{hostile}"],
        ["run", *OUT, f"--{hostile}"],
        ["run", *OUT, "--size", hostile],
        ["run", *OUT, "--init", hostile],
        ["run", *OUT, "--noise", hostile],
        ["run", *OUT, "--style-layers", hostile],
        ["run", "--from", hostile],
        ["batch", "--contents", hostile, "--styles", "style.png", "-o", "out"],
        ["sweep", *OUT, "--rows", hostile],
        ["presets", hostile],
        [hostile],
    ):
        try:
            status = main(arguments)
        except SystemExit as stop:  # argparse's own
            status = stop.code
        line = capsys.readouterr().err
        assert status in (1, 2), arguments
        assert line.count("\n") == 1, line
        assert line[:-1].isprintable(), line


def test_a_note_is_one_printable_line(capsys):
    common.tell_user("note: a\nb \x1b[31m")
    assert capsys.readouterr().err == "note: a b ?[31m\n"


@for_each(
    ("problem", "to_be_measured", "said"),
    [
        ("", True, ["measuring the fastest convolution algorithms of this machine (only once)"]),
        ("", False, []),
        (
            "/x: full",
            True,
            [f"note: measuring convolution algorithms and compiling {COSTS} (/x: full"],
        ),
        ("/x: full", False, [f"note: compiling {COSTS} (/x: full): XDG_CACHE_HOME=FOLDER names "]),
    ],
)
def test_what_is_measured_every_time_is_not_said_to_be_measured_once(
    monkeypatch, problem, to_be_measured, said
):
    monkeypatch.setattr(common, "cache_problem", lambda: problem)
    monkeypatch.setattr(common.tuning, "to_be_measured", lambda precision: to_be_measured)
    told = []
    common.tell_of_tuning(resolve(), told.append)
    assert [line.startswith(start) for line, start in zip(told, said, strict=True)] == [True] * len(
        said
    )


def test_the_command_line_is_imported_before_jax():
    """So that what JAX says about its variables can be caught."""
    code = "import jaxstyle.__main__, sys; print('jax' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=process_environment(), capture_output=True, check=True
    )
    assert done.stdout.split() == [b"False"]


def test_public_names_are_imported_when_asked_for():
    import jaxstyle

    for name in jaxstyle.__all__:
        assert getattr(jaxstyle, name).__name__ == name
        assert name in dir(jaxstyle)
    assert jaxstyle.images.read
    with pytest.raises(AttributeError, match="no attribute 'styleize'"):
        jaxstyle.styleize  # noqa: B018


# --- processes ------------------------------------------------------------------------------------


def command(*arguments, shell="", code=SMALL_COMMAND, **options):
    """Run a command as a process, with redirections of a shell; return it when it is done."""
    variables, without = options.pop("variables", {}), options.pop("without", ())
    environment = process_environment(**variables)
    for name in without:
        if name not in variables:
            environment.pop(name, None)
    words = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {shell}', "sh", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


STREAMS = """
from jaxstyle.machine.command_line import open_streams
open_streams()
import os, sys
file = open("file", "w")
print("out é \\udcff", flush=True)
print("err", file=sys.stderr, flush=True)
os.write(file.fileno(), b"file")
assert file.fileno() > 2 and sys.stdin.read() is not None
"""


@for_each("closed", [">&-", "2>&-", "<&-", "<&- >&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_what_is_printed_never_lands_in_a_file(tmp_path, closed):
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", STREAMS],
        env=process_environment(PYTHONIOENCODING="ascii"),
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ("" if ">&-" in closed.split() else "out \\xe9 \\udcff\n")
    assert done.stderr == ("" if "2>&-" in closed else "err\n")
    assert (tmp_path / "file").read_text() == "file"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "shell", "status", "said"),
    [
        ("presets", ">&-", 0, ""),
        ("presets", ">&- 2>&-", 0, ""),
        ("presets --json", "| head -n 1 >/dev/null", 0, ""),
        ("presets", ">/dev/full", 1, "jaxstyle: standard output cannot be written: No space left"),
        ("presets --json", ">/dev/full", 1, "jaxstyle: standard output cannot be written: No sp"),
        ("--help", ">/dev/full", 1, "jaxstyle: standard output cannot be written: No space left"),
        ("runn", ">&-", 2, "jaxstyle: there is no command 'runn': did you mean run?"),
        ("run --help", ">/dev/full", 1, "jaxstyle: standard output cannot be written: No space"),
        ("presets zzzz", "2>/dev/full", 2, ""),
    ],
)
def test_broken_streams(tmp_path, arguments, shell, status, said):
    done = command(*arguments.split(), shell=shell, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == bool(said)


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_nothing_but_json_is_on_the_output_whatever_is_closed(folder):
    for shell in ("2>&-", "<&- 2>&-", "2>/dev/full"):
        done = command("run", *OUT, *ONE_SCALE, "--seed", "3", "--json", shell=shell)
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout)["settings"]["seed"] == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("JAX_PLATFORMS", "rocm", "JAX finds no device for JAX_PLATFORMS=rocm: unset it"),
        ("JAX_PLATFORMS", "nonsense", "JAX finds no device for JAX_PLATFORMS=nonsense: unset it"),
        ("JAX_ENABLE_X64", "maybe", "JAX_ENABLE_X64=maybe"),
        ("JAX_DEFAULT_MATMUL_PRECISION", "much", "JAX_DEFAULT_MATMUL_PRECISION=much"),
        ("JAX_NUMPY_DTYPE_PROMOTION", "strictest", "JAX_NUMPY_DTYPE_PROMOTION=strictest"),
        ("XLA_FLAGS", "--nonsense", "XLA refuses XLA_FLAGS=--nonsense: mend it or unset it"),
        ("XLA_FLAGS", "nonsense", "XLA refuses XLA_FLAGS=nonsense: mend it or unset it"),
        (
            "XLA_FLAGS",
            "--xla_force_host_platform_device_count=many",
            "XLA refuses XLA_FLAGS=--xla_force_host_platform_device_count=many",
        ),
    ],
)
def test_a_variable_that_jax_refuses_is_named(folder, weights_path, name, value, said):
    code = "from jaxstyle.__main__ import entry; entry()"  # nothing of JAX before
    given = "--weights", weights_path
    done = command("run", *OUT, *ONE_SCALE, *given, code=code, variables={name: value})
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "variables",
    [
        {
            "JAX_NUMPY_DTYPE_PROMOTION": "strict",
            "JAX_NUMPY_RANK_PROMOTION": "raise",
            "JAX_TRANSFER_GUARD": "disallow",
            "JAX_COMPILATION_CACHE_DIR": "/dev/null",
            "JAX_NUM_CPU_DEVICES": "2",
        },
        {"JAX_DISABLE_JIT": "1"},
        {"JAX_ENABLE_X64": "1", "JAX_DEBUG_NANS": "1"},
    ],
)
def test_other_variables_do_no_harm(folder, variables):
    done = command("run", *OUT, *ONE_SCALE, variables=variables)
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)


@pytest.mark.slow
def test_strict_rules_of_jax_do_not_concern_the_library(folder, weights_path):
    code = (
        "import jaxstyle, optax, sys; shallow = dict(content_layers='relu1_1', "
        "style_layers='relu1_1', weights_file=sys.argv[1]);"
        "made = jaxstyle.stylize('content.png', 'style.png', size=64, smallest_size=32, steps=1, "
        "optimizer=optax.adam(0.02), **shallow);"
        "jaxstyle.score(made.image, 'content.png', 'style.png', **shallow);"
        "jaxstyle.texture('style.png', size=32, smallest_size=32, steps=1, "
        "style_layers='relu1_1', weights_file=sys.argv[1])"
    )
    strict = {"JAX_NUMPY_DTYPE_PROMOTION": "strict", "JAX_TRANSFER_GUARD": "disallow"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(weights_path)],
        env=process_environment(**strict, JAX_NUMPY_RANK_PROMOTION="raise"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


NO_ENTRY = """
import pwd

def getpwuid(number):
    raise KeyError(f"uid not found: {number}")

pwd.getpwuid = getpwuid
"""
"""What a user finds whom the system does not know, as with `docker run --user 12345`."""


@pytest.fixture
def nobody(folder):
    """Options of processes of a user without a passwd entry and without a home folder."""
    (folder / "photos").mkdir()
    (folder / "photos" / "a.png").write_bytes(Path("content.png").read_bytes())
    without = ["HOME", "USER", "LOGNAME", "XDG_CACHE_HOME", "JAX_COMPILATION_CACHE_DIR"]
    return {"code": NO_ENTRY + SMALL_COMMAND, "without": without}


QUICK = "--size 32 --smallest-size 32 --steps 1 --style-layers relu1_1"
BOTH = f"{QUICK} --content-layers relu1_1"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "costs"),
    [
        ("presets", False),
        (f"run content.png style.png -o out.png {BOTH}", True),
        (f"photo content.png style.png -o out.png {BOTH}", True),
        (f"sweep content.png style.png -o out.png {BOTH} --rows none", True),
        (f"batch --contents photos --styles style.png -o out {BOTH}", True),
        (f"texture style.png -o out.png {QUICK}", True),
        (f"reconstruct content.png -o out.png {BOTH}", True),
        (
            "score content.png --content content.png --style style.png --content-layers relu1_1 "
            "--style-layers relu1_1",
            False,
        ),
    ],
)
def test_a_user_without_home_and_name_has_every_command(nobody, line, costs):
    done = command(*line.split(), **nobody)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(f"{COSTS} (there is no home folder: HOME is not set)") == costs
    assert "only once" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("home", ["/proc", "content.png"])
def test_a_home_that_cannot_be_written_is_told_of_once(folder, nobody, home):
    line = f"run content.png style.png -o out.png {BOTH}"
    done = command(*line.split(), **nobody, variables={"HOME": str(folder / home)})
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(COSTS) == 1
    assert "XDG_CACHE_HOME=FOLDER names another cache directory" in done.stderr


@pytest.mark.slow
def test_without_a_cache_the_weights_have_to_be_named(nobody):
    nobody["without"] += ["JAXSTYLE_WEIGHTS"]
    nobody["code"] = f"{NO_ENTRY}from jaxstyle.__main__ import entry; entry()"
    done = command(*["run", "content.png", "style.png", "-o", "out.png"], **nobody)
    assert done.returncode == 1
    assert "no place to keep the VGG-19 weights (there is no home folder" in done.stderr
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)


@for_each("error", [MemoryError(), ImportError("lib.so: failed to map segment from shared object")])
def test_too_little_memory_to_start_is_said(error, capsys):
    assert status_of(error) == 1
    assert capsys.readouterr().err.startswith("jaxstyle: out of memory: too little is left")
