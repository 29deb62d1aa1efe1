"""What is said of the memory of a run, in words that are not those of the command line."""

import jax
import numpy as np
import pytest

from jaxstyle.errors import OutOfMemoryError
from jaxstyle.execution import memory as bytes_of
from jaxstyle.execution.estimate import Estimate, ScaleEstimate
from jaxstyle.execution.plan import Scale
from jaxstyle.images import Picture
from jaxstyle.machine import resources
from jaxstyle.machine.resources import Limit
from jaxstyle.runs import memory
from jaxstyle.runs.inputs import Inputs
from jaxstyle.settings import resolve
from tests.cases import for_each

MB = 2**20
LAST = Scale(48, 64, 64, 20)


def test_what_limits_memory_is_named(monkeypatch):
    monkeypatch.setattr(resources, "memory_limit", lambda: Limit(2 * MB, MB, "ulimit -v"))
    assert memory.available(1_500_000) == "2 MB are available (ulimit -v)"
    assert memory.more_memory() == "raise ulimit -v"
    monkeypatch.setattr(resources, "memory_limit", lambda: Limit(2 * MB, MB, ""))
    assert memory.available(1_500_000) == "2 MB are available"
    assert memory.more_memory() == "use a machine with more memory"


@for_each(
    ("remedies", "words", "said"),
    [
        ([{"size": 48}], memory.in_words, "size 48 would fit"),
        (
            [{"size": 48, "size_rule": "shortest"}, {"optimizer": "adam"}],
            memory.in_words,
            "size 48, size rule shortest or optimizer adam would fit",
        ),
        ([{"size": 24}], lambda new, last: f"{last.width}/{64 // new['size']}", "64/2 would fit"),
    ],
)
def test_changes_are_named_by_the_words_given(remedies, words, said):
    assert memory.advice(remedies, LAST, 0, words) == said
    scale = ScaleEstimate(48, 64, ((32, 32),), 20, 2e9, 3_000_000, 1.5, 60.0)
    found = Estimate((scale,), 2_000_000, tuple(remedies))
    assert memory.verdict(found, words).endswith(f"are available: {said}")


@pytest.fixture
def inputs(picture):
    settings = resolve(
        size=64, smallest_size=64, steps=1, content_layers="relu1_1", style_layers="relu1_1"
    )
    photo, style = (np.asarray(picture(seed, 48, 64)) for seed in range(2))
    return Inputs(Picture(photo), [style], settings)


def test_a_run_that_cannot_fit_never_starts(small_weights, inputs, monkeypatch):
    monkeypatch.setattr(bytes_of, "bytes_before", lambda *_: 0)
    monkeypatch.setattr(bytes_of, "_accelerator_bytes", lambda: 500_000)
    refused = r"^out of memory: 64x48 needs about .*, and 0 MB are available.*: size \d+ would fit"
    with (
        pytest.raises(OutOfMemoryError, match=refused),
        memory.enough_memory(small_weights, inputs),
    ):
        pytest.fail("it was begun")


def test_memory_that_gives_out_is_explained_and_other_failures_are_not(small_weights, inputs):
    with (
        pytest.raises(OutOfMemoryError, match="^out of memory: 64x48 needs about .* [MG]B: "),
        memory.enough_memory(small_weights, inputs),
    ):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.")
    with pytest.raises(ValueError, match="other"), memory.explained(small_weights, inputs):
        raise ValueError("other")
