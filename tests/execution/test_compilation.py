"""Compilations are counted, kept between processes, and done ahead of their use."""

import os
import threading
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from jaxstyle.execution import compilation
from jaxstyle.execution.compilation import counted, in_turn, one_ahead, persist


def test_the_next_item_is_computed_while_the_current_one_is_used():
    started = {item: threading.Event() for item in "abc"}

    def make(item):
        started[item].set()
        return item.upper()

    seen = []
    for item, made in one_ahead(make, "abc"):
        following = chr(ord(item) + 1)
        assert following not in started or started[following].wait(timeout=10)
        seen.append((item, made))
    assert seen == [("a", "A"), ("b", "B"), ("c", "C")]


def test_waiting_for_an_item_can_be_ended():
    over = threading.Event()

    def enough():
        raise KeyboardInterrupt

    ahead = one_ahead(lambda item: over.wait(timeout=60), [1], enough)
    with pytest.raises(KeyboardInterrupt):
        next(ahead)
    over.set()


def test_items_are_computed_in_another_thread_and_only_one_ahead():
    threads = []
    ahead = one_ahead(lambda item: threads.append(threading.get_ident()), [1, 2, 3, 4])
    next(ahead)
    ahead.close()
    assert len(threads) <= 2
    assert threading.get_ident() not in threads


def test_items_in_turn_are_computed_in_this_thread_on_demand():
    threads = []
    turns = in_turn(lambda item: threads.append(threading.get_ident()) or item.upper(), "abc")
    assert next(turns) == ("a", "A")
    assert threads == [threading.get_ident()]
    assert list(turns) == [("b", "B"), ("c", "C")]


def test_an_error_is_raised_when_its_item_is_requested():
    ahead = one_ahead(lambda item: 1 / item, [1, 0])
    assert next(ahead) == (1, 1.0)
    with pytest.raises(ZeroDivisionError):
        next(ahead)


def test_the_background_thread_inherits_double_precision(float64):
    (found,) = one_ahead(lambda _: jnp.zeros(1).dtype, [0])
    assert found == (0, jnp.float64)


def test_compilations_of_other_threads_are_not_counted():
    x = [jax.device_put(jnp.ones(3)), jax.device_put(jnp.ones(4))]

    def compile_one(x):
        jax.jit(lambda x: jnp.sum(x * 2))(x).block_until_ready()

    other = threading.Thread(target=compile_one, args=x[:1])
    with counted() as everything, counted(here=True) as mine:
        other.start()
        other.join()
        compile_one(x[1])
    assert (everything.count, mine.count) == (2, 1)
    assert everything.seconds > mine.seconds > 0


@pytest.fixture
def config(monkeypatch):
    """What JAX is told, without a cache before and with no consequences."""
    told = {}
    config = SimpleNamespace(jax_compilation_cache_dir=None, update=told.__setitem__)
    monkeypatch.setattr(jax, "config", config)
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    return told


def test_programs_are_kept_in_the_cache_directory(config, tmp_path, monkeypatch):
    monkeypatch.setattr(compilation.host, "cache_directory", lambda: tmp_path)
    persist()
    assert config["jax_compilation_cache_dir"].startswith(str(tmp_path / "programs"))
    persist(tmp_path / "mine")
    assert config["jax_compilation_cache_dir"] == str(tmp_path / "mine")


def test_without_a_cache_directory_no_programs_are_kept(config, monkeypatch):
    monkeypatch.setattr(compilation.host, "cache_directory", lambda: None)
    persist()
    assert config == {}


def test_a_cache_that_the_user_configured_is_left_alone(config, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "")
    persist()
    assert config == {}


def test_the_oldest_programs_and_empty_ones_are_dropped(config, tmp_path, monkeypatch):
    monkeypatch.setattr(compilation, "KEPT_BYTES", 250)
    (tmp_path / "empty-cache").write_bytes(b"")
    for age, name in enumerate(["new-cache", "older-cache", "oldest-cache", "else"]):
        (tmp_path / name).write_bytes(bytes(100))
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    persist(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["else", "new-cache", "older-cache"]


def test_nothing_is_kept_where_nothing_can_be_written(config, tmp_path):
    (tmp_path / "file").write_text("")
    persist(tmp_path / "file" / "programs")
    assert config == {}
