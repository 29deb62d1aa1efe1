"""Programs are compiled once for the same shapes, and only the last ones are kept."""

import gc
import sys
import weakref
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.execution.compilation import counted
from jaxstyle.machine import programs
from jaxstyle.machine.kept import Kept
from jaxstyle.runs.stylize import stylize


@pytest.fixture
def kept(monkeypatch):
    """The cache of a process that has compiled nothing, with room for three functions."""
    kept = Kept(3, 30, lambda held: held[1])
    monkeypatch.setattr(programs, "_kept", kept)
    return kept


@pytest.fixture
def doubled():
    """A compiled function of an array and an exponent."""

    @programs.jit(size=10, static_argnames="power")
    def doubled(x, power=1):
        return 2 * x**power

    return doubled


def zeros(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)


def test_the_same_shapes_compile_once(kept, doubled):
    with counted() as compiled:
        for _ in range(2):
            for x in (zeros(3), zeros(4)):
                assert doubled(x).shape == x.shape
    assert compiled.count == len(kept) == 2


def test_types_and_static_arguments_compile_again(kept, doubled):
    with counted() as compiled:
        for _ in range(2):
            doubled(zeros(3), power=2)
            doubled(zeros(3), power=3)
            doubled(zeros(3, dtype=np.int32), power=2)
    assert compiled.count == 3


def test_numbers_that_are_traced_do_not(kept):
    @programs.jit()
    def added(x, more):
        return x + more

    with counted() as compiled:
        assert [float(added(zeros(), more)) for more in (1.0, 2.5)] == [1, 2.5]
    assert (compiled.count, len(kept)) == (1, 1)


def test_only_the_last_programs_are_kept(kept, doubled):
    for length in (1, 2, 3, 1, 4):
        doubled(zeros(length))
    assert len(kept) == 3
    with counted() as compiled:
        for length in (3, 1, 4):
            doubled(zeros(length))
        assert compiled.count == 0
        doubled(zeros(2))
    assert compiled.count == 1


def test_large_functions_leave_room_for_fewer(kept, doubled):
    @programs.jit(size=25)
    def large(x):
        return -x

    for length in (1, 2):
        doubled(zeros(length))
    large(zeros(1))
    assert (len(kept), kept.bytes) == (1, 25)


def test_what_is_dropped_is_freed(kept, doubled):
    doubled(zeros(1))
    own = weakref.ref(doubled.of(zeros(1)).__wrapped__)
    for length in (2, 3, 4):
        doubled(zeros(length))
    gc.collect()
    assert own() is None


def test_a_jitted_function_does_what_jax_can(kept, doubled):
    x = jax.ShapeDtypeStruct((3,), np.float32)
    assert doubled.eval_shape(x) == x
    assert doubled.trace(x).jaxpr.out_avals[0].shape == (3,)
    with counted() as compiled:
        doubled.lower(x).compile()
        doubled(zeros(3))
    assert (compiled.count, doubled.__name__) == (1, "doubled")
    assert "doubled" in doubled.lower(x).as_text()
    slopes = jax.vmap(jax.grad(lambda x: doubled(x, power=2).sum()))(jnp.ones((2, 3)))
    np.testing.assert_array_equal(slopes, 4 * np.ones((2, 3)))


def test_runs_of_many_sizes_keep_no_more_programs_than_allowed(small_weights, picture, monkeypatch):
    kept = Kept(9, 150_000_000, lambda held: held[1])
    monkeypatch.setattr(programs, "_kept", kept)
    options = {"steps": 1, "content_layers": "relu1_1", "style_layers": "relu1_1"}

    def run(size):
        one = np.asarray(picture(0, size, size))
        with counted() as compiled:
            stylize(one, one, weights_file=small_weights, size=size, smallest_size=size, **options)
        return compiled.count

    for size in (48, 50, 52, 54):
        assert run(size)
        assert len(kept) <= 9
        assert kept.bytes <= 150_000_000
    assert run(54) == 0
    assert run(48) > 0


@pytest.mark.skipif(sys.platform != "linux", reason="other systems tell nothing of maps")
def test_the_caches_of_jax_are_emptied_before_the_system_refuses_memory_maps(monkeypatch):
    emptied = []
    monkeypatch.setattr(programs, "_emptied", programs._Emptied(dropped=programs._kept.dropped))
    monkeypatch.setattr(jax, "clear_caches", lambda: emptied.append(True))
    programs.make_room()
    assert not emptied
    monkeypatch.setattr(programs, "MOST_MAPS", 10)
    for maps, times in ((9, 0), (60, 1), (70, 1), (81, 2), (81, 2)):
        monkeypatch.setattr(programs, "memory_maps", partial(int, maps))
        programs.make_room()
        assert len(emptied) == times


def test_what_jax_keeps_of_dropped_programs_is_emptied_too(monkeypatch, kept):
    emptied = []
    monkeypatch.setattr(jax, "clear_caches", lambda: emptied.append(True))
    monkeypatch.setattr(programs, "_emptied", programs._Emptied())
    monkeypatch.setattr(programs, "MOST_DROPPED", 100)
    for dropped, times in ((100, 0), (101, 1), (201, 1), (202, 2)):
        kept.dropped = dropped
        programs.make_room()
        assert len(emptied) == times
