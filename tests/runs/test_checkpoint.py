"""Checkpoints: exact, and whole or not at all."""

import os

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from jaxstyle.errors import CheckpointError
from jaxstyle.runs.checkpoint import FILE, delete, load, save

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


def test_a_checkpoint_replaces_the_one_before_and_leaves_nothing_else(tmp_path):
    (tmp_path / "notes.txt").write_text("the user's own")
    for number in range(3):
        save(tmp_path, {"number": number})
    assert load(tmp_path) == {"number": 2}
    assert names(tmp_path) == [FILE, "notes.txt"]


def test_deleting_leaves_nothing_but_what_others_put_there(tmp_path):
    directory = tmp_path / "c"
    save(directory, TREE)
    delete(directory)
    assert not directory.exists()
    delete(directory)  # there may be none
    save(directory, TREE)
    (directory / "notes.txt").write_text("the user's own")
    delete(directory)
    assert names(directory) == ["notes.txt"]


def damaged(data):
    """Some of what can happen to a file."""
    yield "empty", b""
    yield "half", data[: len(data) // 2]
    yield "zeros", bytes(len(data))
    yield "longer", data + b"\0" * 100
    for place in range(0, len(data), max(1, len(data) // 20)):
        yield f"bit at {place}", data[:place] + bytes([data[place] ^ 16]) + data[place + 1 :]


def test_a_damaged_checkpoint_is_refused_or_harmless(tmp_path):
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
                refused.append(how)
            else:
                assert found["name"] == "x", (name, how)
                assert_same(found["a"], array)
        (tmp_path / name).write_bytes(data)
    assert {"empty", "half", "zeros"} <= set(refused)
    assert load(tmp_path)["name"] == "x"


def test_a_full_disk_leaves_the_one_before(tmp_path, monkeypatch):
    save(tmp_path, {"number": 1})

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(CheckpointError) as refused:
        patch.setattr(os, "fsync", full)
        save(tmp_path, {"number": 2})
    assert str(refused.value) == f"{tmp_path}: cannot be written: No space left on device"
    assert names(tmp_path) == [FILE]
    assert load(tmp_path) == {"number": 1}


def test_values_that_are_not_plain_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="cannot be written"):
        save(tmp_path, {"function": save})
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "c").write_text("")
    with pytest.raises(CheckpointError, match="is a file, and checkpoints need"):
        save(tmp_path / "c", TREE)


def test_a_folder_that_was_made_in_vain_is_removed(tmp_path):
    with pytest.raises(CheckpointError, match="cannot be written"):
        save(tmp_path / "c", {"function": save})
    assert list(tmp_path.iterdir()) == []


def test_text_that_was_changed_is_damage(tmp_path):
    save(tmp_path, {"scale": 0, "image": np.zeros(3)})
    with np.load(tmp_path / FILE) as entries:
        parts = dict(entries)
    parts["arr_0"] = np.frombuffer(bytes(parts["arr_0"]).replace(b"0", b"1", 1), np.uint8)
    np.savez(tmp_path / FILE, **parts)
    with pytest.raises(CheckpointError, match="the checkpoint is damaged .it was changed.: delete"):
        load(tmp_path)


# --- what is not ours -----------------------------------------------------------------------------


def test_a_link_to_a_folder_is_left_alone(tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / FILE).write_bytes(b"theirs")
    (tmp_path / "c").symlink_to("theirs")
    (tmp_path / "d").symlink_to("nowhere")
    for name in ("c", "d"):
        with pytest.raises(CheckpointError, match="is a symbolic link"):
            save(tmp_path / name, TREE)
        delete(tmp_path / name)
        assert (tmp_path / name).is_symlink()
    assert (tmp_path / "theirs" / FILE).read_bytes() == b"theirs"
    assert not (tmp_path / "nowhere").exists()


def test_a_link_in_place_of_the_file_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "theirs").write_bytes(b"theirs")
    (tmp_path / "c").mkdir()
    for target in ("../theirs", "../nowhere"):
        (tmp_path / "c" / FILE).symlink_to(target)
        save(tmp_path / "c", TREE)
        assert load(tmp_path / "c").keys() == TREE.keys()
        assert (tmp_path / "theirs").read_bytes() == b"theirs"
        (tmp_path / "c" / FILE).unlink()
        (tmp_path / "c" / FILE).symlink_to(target)
        delete(tmp_path / "c")
        assert names(tmp_path) == ["theirs"]
        (tmp_path / "c").mkdir()


def test_what_others_keep_in_the_folder_stays(tmp_path):
    save(tmp_path / "c", TREE)
    (tmp_path / "c" / "folder").mkdir()
    for name in ("notes.txt", "folder/checkpoint.npz"):
        (tmp_path / "c" / name).write_bytes(b"theirs")
    delete(tmp_path / "c")
    assert names(tmp_path / "c") == ["folder", "notes.txt"]
    assert (tmp_path / "c" / "folder" / FILE).read_bytes() == b"theirs"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes of Unix")
def test_a_pipe_in_place_of_the_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / FILE)
    with pytest.raises(CheckpointError, match="it is not a file"):
        load(tmp_path)
    save(tmp_path, TREE)
    assert load(tmp_path).keys() == TREE.keys()
