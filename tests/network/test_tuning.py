"""What is measured is remembered, and chosen from."""

import errno
import json
import os

import jax
import pytest

from jaxstyle.cli.common import tell_of_tuning
from jaxstyle.execution.factories import tuned_network
from jaxstyle.machine import host
from jaxstyle.machine.files import this_host
from jaxstyle.network import tuning
from jaxstyle.settings import resolve

QUICK = {"direct": 1.0, "winograd": 0.5}


@pytest.fixture
def times(tmp_path, monkeypatch):
    """Measuring, made quick and predictable; what it measured."""
    asked = []

    def measured(pair):
        asked.append(pair)
        return QUICK if pair[0] >= 128 else {**QUICK, "winograd": 0.95}

    monkeypatch.setattr(tuning, "remembered_path", lambda: tmp_path / "cache" / "times.json")
    monkeypatch.setattr(tuning, "measured", measured)
    return asked


def test_each_pair_of_channels_is_measured_once_and_a_clearly_faster_algorithm_taken(times):
    chosen = tuning.algorithms("auto")
    pairs = [(64, 64), (128, 128), (256, 256), (512, 512)]
    assert times == pairs
    assert chosen["conv2_2"] == chosen["conv5_1"] == "winograd"
    assert "conv1_1" not in chosen  # too narrow to be measured
    assert chosen["conv2_1"] == "winograd"  # by the time of conv2_2
    assert "conv1_2" not in chosen  # hardly faster
    assert tuning.algorithms("auto") == tuning.algorithms("float32") == chosen
    assert times == pairs


@pytest.mark.parametrize("precision", ["bfloat16", "float64"])
def test_other_precisions_and_machines_leave_it_to_the_compiler(times, monkeypatch, precision):
    assert tuning.algorithms(precision) == {}
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert tuning.algorithms("auto") == {}
    assert times == []


WHOLE = {f"{a}-{b}": QUICK for a, b in set(tuning.channels().values())}
DAMAGES = ["", "[]", '{"64-64": {"direct": 1}}', "{", "[" * 99999, "\0", "\ufeff", "7", "null"]
DAMAGES += [json.dumps({**WHOLE, "64-64": {**QUICK, "direct": bad}}) for bad in (None, "1", -1.0)]
DAMAGES += [json.dumps({**WHOLE, "64-64": {**QUICK, "direct": bad}}) for bad in (float("nan"), 0)]
DAMAGES += [json.dumps({**WHOLE, "64-64": bad}) for bad in ([1.0, 2.0], {**QUICK, "unheard": 1e-9})]
DAMAGES += [json.dumps(WHOLE)[:-9], json.dumps({**WHOLE, "64-64": {"direct": 10**400}})]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda text: text[:20])
def test_times_in_a_damaged_file_are_measured_again_and_it_is_said(times, damage):
    tuning.algorithms("auto")
    assert tuning.damage("auto") == ""
    tuning.remembered_path().write_text(damage)
    tuning.remembered.cache_clear()  # as in another process
    told = []
    tell_of_tuning(resolve(precision="float32"), told.append)
    (note,) = told
    assert note.startswith(f"note: {tuning.remembered_path()}: is damaged (")
    assert note.endswith("): measuring again") and note.isprintable()
    assert tuning.to_be_measured("auto")
    tuning.algorithms("auto")
    assert not tuning.to_be_measured("auto") and not tuning.damage("auto")
    assert len(times) == 8
    assert len(json.loads(tuning.remembered_path().read_text())) == 4


def test_a_full_disk_leaves_nothing_in_the_cache_and_what_is_old_is_swept(times, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    folder = tuning.remembered_path().parent
    folder.mkdir()
    dead = f".jaxstyle-{this_host()}-999999999-{'0' * 16}.tmp"
    for name in ("convolutions-0123456789abcdef.77", dead, "convolutions-0.json", "mine.77"):
        (folder / name).write_text("")
    monkeypatch.setattr(os, "fsync", full)
    assert tuning.algorithms("auto")["conv5_1"] == "winograd"
    assert sorted(os.listdir(folder)) == ["convolutions-0.json", "mine.77"]


def test_without_a_writable_cache_times_are_measured_once(times, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(tuning, "remembered_path", lambda: tmp_path / "file" / "times.json")
    assert tuning.algorithms("auto")["conv5_1"] == "winograd"
    tuning.algorithms("auto")
    assert len(times) == 4


def test_without_a_cache_directory_times_are_measured_once_too(times, monkeypatch):
    monkeypatch.setattr(tuning, "remembered_path", lambda: None)
    tuning.remembered.cache_clear()
    assert tuning.to_be_measured("auto")
    assert tuning.algorithms("auto") == tuning.algorithms("auto")
    assert len(times) == 4
    tuning.remembered.cache_clear()


def test_a_measurement_is_of_every_algorithm(monkeypatch):
    monkeypatch.setattr(tuning, "ROUNDS", 1)
    times = tuning.measured((64, 512))
    assert times.keys() == QUICK.keys()
    assert min(times.values()) > 0


def test_only_what_the_losses_need_is_prepared(small_weights, times):
    settings = resolve(style_layers="relu3_1", content_layers="relu2_2", precision="float32")
    network = tuned_network(small_weights, settings)
    used = [name for name, layer in network.convolutions.items() if layer.prepared is not None]
    assert used == ["conv2_1", "conv2_2", "conv3_1"]


def test_the_fingerprint_is_that_of_the_processor(monkeypatch):
    here = host.fingerprint()
    assert here == host.fingerprint()
    monkeypatch.setattr(host, "processor", lambda: ("another",))
    assert host.fingerprint() != here


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes of Unix")
def test_times_replace_a_link_or_a_pipe_and_do_not_go_through_it(tmp_path):
    (tmp_path / "theirs").write_bytes(b"theirs")
    (tmp_path / "link").symlink_to("theirs")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        assert name == "link" or tuning.read(tmp_path / name) is None
        tuning._write(tmp_path / name, {})
        assert (tmp_path / name).read_bytes() == b"{}"
    assert (tmp_path / "theirs").read_bytes() == b"theirs"
