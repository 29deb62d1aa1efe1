"""Checkpoints: exact, whole or not at all, quiet."""

import os
from pathlib import Path

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from jaxstyle.errors import CheckpointError
from jaxstyle.runs import checkpoint
from jaxstyle.runs.checkpoint import delete, load, save

TREE = {
    "step": 3,
    "total": 0.1 + 0.2,
    "limits": [-np.inf, np.inf],
    "name": "the Große Welle",
    "none": None,
    "preparing": False,
    "empty": {},
    "inner": {"terms": {"style/relu1_1": 1e-30}, "count": np.int32(7)},
}


def assert_same(found, expected):
    """Of type, shape and bytes."""
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert found.tobytes() == np.asarray(expected).tobytes()


def files(directory):
    """Names and bytes of all files."""
    found = (path for path in sorted(directory.rglob("*")) if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in found}


def names(directory):
    """Of what is in it."""
    return sorted(path.name for path in directory.iterdir())


def test_an_empty_directory_has_no_checkpoint(tmp_path):
    assert load(tmp_path / "none") is None
    assert load(tmp_path) is None


def test_plain_values_come_back_as_they_were(tmp_path):
    save(tmp_path / "c", TREE)
    found = load(tmp_path / "c")
    assert found["inner"].pop("count") == 7  # a number of NumPy's is an array
    plain = {**TREE, "inner": {"terms": TREE["inner"]["terms"]}}
    assert found == plain
    assert type(found["step"]) is int
    assert type(found["total"]) is float


ARRAYS = [
    np.random.default_rng(0).normal(size=(5, 4, 3)).astype(np.float32),
    np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1e-45], np.float32),
    np.array([0x7FC00001, 0xFFC12345], np.uint32).view(np.float32),  # NaN has many bytes
    np.arange(6, dtype=np.float64).reshape(2, 3).T,
    np.arange(-3, 3, dtype=ml_dtypes.bfloat16).reshape(1, 6),
    np.array(-(2**31), np.int32),
    np.array([True, False]),
    np.zeros((0, 3), np.float32),
    np.arange(10, dtype=np.int64)[::-3],
    np.full((70, 70), 2, np.uint8),
]


def test_arrays_keep_their_bytes(tmp_path):
    save(
        tmp_path, {"a": {f"{array.dtype}{array.shape}": array for array in ARRAYS}, "list": ARRAYS}
    )
    found = load(tmp_path)
    for array, same in zip(ARRAYS, found["list"], strict=True):
        assert_same(found["a"][f"{array.dtype}{array.shape}"], array)
        assert_same(same, array)


def test_arrays_of_jax_come_back_on_the_host(tmp_path):
    arrays = [
        jnp.arange(12).reshape(3, 4).astype(k) for k in (jnp.float32, jnp.bfloat16, jnp.int32)
    ]
    save(tmp_path, {"a": arrays})
    for found, array in zip(load(tmp_path)["a"], arrays, strict=True):
        assert isinstance(found, np.ndarray)
        assert_same(found, array)
        found += 1  # its memory is its own


def test_only_the_newest_checkpoint_is_kept(tmp_path):
    for number in range(3):
        save(tmp_path / "c", {"number": number})
    assert load(tmp_path / "c") == {"number": 2}
    (kept,) = (tmp_path / "c").iterdir()
    assert kept.name.startswith("3-")


def test_what_killed_processes_left_does_no_harm_and_is_swept_away(tmp_path):
    save(tmp_path, {"number": 1})
    for name in ("2-0a1b.orbax-checkpoint-tmp", "1-ff.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tree.npz").write_bytes(b"half of it")
    (tmp_path / "notes.txt").write_text("the user's own")
    assert load(tmp_path) == {"number": 1}
    save(tmp_path, {"number": 2})
    assert load(tmp_path) == {"number": 2}
    assert [name for name in names(tmp_path) if not name.startswith("2-")] == ["notes.txt"]
    assert len(names(tmp_path)) == 2


def test_the_newer_of_two_complete_checkpoints_is_loaded(tmp_path):
    """As after a kill between the rename of the one and the end of the other."""
    for number in (9, 10):
        save(tmp_path / "c", {"number": number})
        (kept,) = (tmp_path / "c").iterdir()
        kept.rename(tmp_path / f"{number}-{number}")
    assert load(tmp_path) == {"number": 10}
    save(tmp_path, {"number": 11})
    assert [name[:3] for name in names(tmp_path)] == ["11-", "c"]


def test_deleting_leaves_nothing_but_what_others_put_there(tmp_path):
    directory = tmp_path / "c"
    save(directory, TREE)
    (directory / "2-0a1b.orbax-checkpoint-tmp").mkdir()
    delete(directory)
    assert not directory.exists()
    delete(directory)  # and there may be none
    save(directory, TREE)
    (directory / "notes.txt").write_text("the user's own")
    delete(directory)
    assert [path.name for path in directory.iterdir()] == ["notes.txt"]


def test_nothing_is_printed_or_logged(tmp_path, capfd, caplog):
    with caplog.at_level("DEBUG"):
        save(tmp_path, TREE)
        load(tmp_path)
    assert "".join(capfd.readouterr()) == ""
    assert [record for record in caplog.records if record.name == "absl"] == []


def damaged(data):
    """Some of what can happen to a file."""
    yield "empty", b""
    yield "half", data[: len(data) // 2]
    yield "zeros", bytes(len(data))
    yield "longer", data + b"\0" * 100
    for place in range(0, len(data), max(1, len(data) // 20)):
        yield f"bit at {place}", data[:place] + bytes([data[place] ^ 16]) + data[place + 1 :]


def test_a_damaged_one_is_refused_or_harmless(tmp_path):
    """No file of it can be damaged so that something else is read."""
    array = ARRAYS[0]
    save(tmp_path, {"a": array, "name": "x"})
    refused = []
    for name, data in files(tmp_path).items():
        for how, other in damaged(data):
            (tmp_path / name).write_bytes(other)
            try:
                found = load(tmp_path)
            except CheckpointError as error:
                assert str(error).startswith(f"{tmp_path}: the checkpoint is damaged (")
                assert str(error).endswith("): delete it, or run without --resume")
                assert "\n" not in str(error)
                refused.append((Path(name).name, how))
            else:
                assert found["name"] == "x", (name, how)
                assert_same(found["a"], array)
        (tmp_path / name).write_bytes(data)
    assert {("tree.npz", "empty"), ("tree.npz", "half"), ("tree.npz", "zeros")} <= set(refused)
    assert load(tmp_path)["name"] == "x"


def test_a_missing_file_is_damage_too(tmp_path):
    save(tmp_path, TREE)
    next(tmp_path.rglob("tree.npz")).unlink()
    with pytest.raises(CheckpointError, match="damaged"):
        load(tmp_path)


def test_a_process_that_sweeps_does_not_spoil_what_another_one_writes(tmp_path, monkeypatch):
    """What is being written is swept away at its last moment: it fails, and is not half there."""
    save(tmp_path, {"number": 1})
    sync = os.fsync

    def swept(descriptor):
        sync(descriptor)
        checkpoint._sweep(tmp_path)

    with monkeypatch.context() as patch, pytest.raises(CheckpointError, match="cannot be written"):
        patch.setattr(os, "fsync", swept)
        save(tmp_path, {"number": 2})
    assert load(tmp_path) == {"number": 1}


def test_a_checkpoint_replaced_by_another_process_is_not_called_damaged(tmp_path, monkeypatch):
    save(tmp_path, {"number": 1})
    read = checkpoint._read

    def replaced(path):
        monkeypatch.setattr(checkpoint, "_read", read)
        save(tmp_path, {"number": 2})
        return read(path)

    monkeypatch.setattr(checkpoint, "_read", replaced)
    assert load(tmp_path) == {"number": 2}


def test_a_full_disk_leaves_the_one_before(tmp_path, monkeypatch):
    save(tmp_path, {"number": 1})

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(CheckpointError) as refused:
        patch.setattr(os, "fsync", full)
        save(tmp_path, {"number": 2})
    assert str(refused.value) == f"{tmp_path}: cannot be written: No space left on device"
    assert [name[:2] for name in names(tmp_path)] == ["1-"]
    assert load(tmp_path) == {"number": 1}


def test_values_that_are_not_plain_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="cannot be written"):
        save(tmp_path, {"function": save})
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "c").write_text("")
    with pytest.raises(CheckpointError, match="cannot be written"):
        save(tmp_path / "c", TREE)


def test_the_file_is_orbax_own(tmp_path):
    """Orbax knows its folder as a complete checkpoint."""
    with checkpoint._quiet_orbax():
        import orbax.checkpoint as ocp
    save(tmp_path, TREE)
    (kept,) = tmp_path.iterdir()
    assert ocp.utils.is_checkpoint_finalized(kept)
