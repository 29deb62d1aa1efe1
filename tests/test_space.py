"""One picture over several devices, and over two hosts: real processes with four devices."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jaxstyle.space import ROWS, mesh_of

STYLIZE = """
import json, sys
from pathlib import Path
import jax
import numpy as np
if sys.argv[2:]:
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(sys.argv[2], 2, int(sys.argv[3]))
from convert_weights.weights_file import Convolution, Weights
from jaxstyle import image, stylize
from jaxstyle.weights import Loaded
from tests.conftest import small_arrays

layers = {name: Convolution(*arrays) for name, arrays in small_arrays().items()}
numbers = {"scale": 255.0, "mean": (103.939, 116.779, 123.68), "std": (58.0, 58.0, 58.0)}
weights = Weights(layers=layers, channel_order="BGR", normalized=True, **numbers)
loaded = Loaded(weights, Path("small.h5"), "0" * 64)
rng = np.random.default_rng(0)
content, style = (
    image.resize(rng.uniform(size=(9, 12, 3)).astype(np.float32), *sides)
    for sides in ((75, 101), (60, 64))
)
shallow = {"content_layers": "relu2_1", "style_layers": ["relu1_1", "relu2_1"]}
sizes = {"size": 101, "smallest_size": 50, "steps": (3, 2)}
directory, found = Path(sys.argv[1]), {}


def made(name, **settings):
    options = {"weights_file": loaded} | shallow | sizes | settings
    result = stylize(content, style, **options)
    np.save(directory / f"{name}.npy", result.image)
    scales = [[s.height, s.width, s.way, s.compilations] for s in result.scales]
    found[name] = {"scales": scales, "losses": result.losses}


ADAM = {"carry": True, "average": 0.5}
"""


@pytest.fixture(scope="module")
def environment():
    return {
        **os.environ,
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4 --xla_backend_optimization_level=0",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }


FOUR_DEVICES = f"""{STYLIZE}
from PIL import Image
from jaxstyle import resolve
from jaxstyle.formulation import objective_at
from jaxstyle.parts import optimizer_of, tuned_network
from jaxstyle.pyramid import Scale
from jaxstyle.stylize import state_at
from jaxstyle.ways import Way

LBFGS = {{"optimizer": "lbfgs", "history": 3, "keep_best": True, "smallest_size": 101}}


def cut(tree):
    return [
        [leaf.shape, sorted({{shard.data.shape for shard in leaf.addressable_shards}})]
        for leaf in jax.tree.leaves(tree)
    ]


for name, settings in (("adam", ADAM), ("lbfgs", LBFGS)):
    made(name, **settings)
    made(f"{{name}} split", shard="space", **settings)
    chosen = resolve(shard="space", **settings)
    given = None, optimizer_of(chosen), chosen, Way(split=True)
    start = state_at(Scale(75, 101, 101, 1), content, content, *given)
    found[name]["leaves"] = cut(start)
masks = [str(directory / f"{{number}}.png") for number in range(4)]
for number, path in enumerate(masks):
    height, width = (75, 101) if number < 2 else (60, 64)
    own = (np.arange(width) < 37) == (number % 2 == 0)
    Image.fromarray(np.uint8(255 * np.broadcast_to(own, (height, width)))).save(path)
MASKED = {{"content_mask": masks[:2], "style_mask": masks[2:], "photorealism_weight": 10.0}}
for name, settings in (("masked", {{}}), ("masked split", {{"shard": "space"}})):
    made(name, smallest_size=101, steps=3, **MASKED, **settings)
scale, network = Scale(75, 101, 101, 1), tuned_network(loaded, resolve())
photo = resolve(**shallow, shard="space", photorealism_weight=10.0)
scored = objective_at(scale, network, content, [style], photo, way=Way(split=True))
found["targets"] = {{
    name: cut(scored.terms[name].targets) for name in ("content/relu2_1", "photorealism")
}}
(directory / "found.json").write_text(json.dumps(found))
"""


@pytest.fixture(scope="module")
def four(environment, tmp_path_factory):
    """What a process with four devices made: pictures by name, and what is known of them."""
    directory = tmp_path_factory.mktemp("four")
    done = subprocess.run(
        [sys.executable, "-c", FOUR_DEVICES, str(directory)],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    pictures = {path.stem: np.load(path) for path in directory.glob("*.npy")}
    return pictures, json.loads((directory / "found.json").read_text())


@pytest.mark.parametrize("name", ["adam", "lbfgs", "masked"])
def test_a_picture_over_four_devices_is_that_of_one(four, name):
    """Of uneven sides, that none of four devices has a quarter of."""
    pictures, found = four
    one, split = pictures[name], pictures[f"{name} split"]
    assert split.shape == one.shape == (75, 101, 3)
    # Adam's first step is as long for the least gradient, of either sign, as for any other.
    assert np.mean(np.abs(split - one)) < 1e-5
    for record, same in zip(found[name]["losses"], found[f"{name} split"]["losses"], strict=True):
        np.testing.assert_allclose(same["total"], record["total"], rtol=1e-4)
        assert set(same["terms"]) == set(record["terms"])
        for term, value in record["terms"].items():
            apart = abs(same["terms"][term] - value)
            assert apart < 1e-4 * record["total"], term


@pytest.mark.parametrize(
    ("name", "sides"), [("adam", [[37, 50], [75, 101]]), ("lbfgs", [[75, 101]])]
)
def test_a_report_says_that_it_was_split_and_compiled_once_a_scale(four, name, sides):
    _, found = four
    assert found[name]["scales"] == [[*each, "whole", 1] for each in sides]
    split = "split over 4 devices"
    assert found[f"{name} split"]["scales"] == [[*each, split, 1] for each in sides]


@pytest.mark.parametrize("name", ["adam", "lbfgs"])
def test_every_device_has_a_quarter_of_all_that_is_large(four, name):
    _, found = four
    large = [leaf for leaf in found[name]["leaves"] if len(leaf[0]) >= 3]
    assert len(large) >= 5  # image, average, best, and two of the optimizer's own
    for shape, of_devices in large:
        assert shape[-3:] == [76, 101, 3]
        assert of_devices == [[*shape[:-3], 19, 101, 3]]


def test_targets_with_as_many_rows_as_the_picture_are_split_too(four):
    _, found = four
    ((shape, of_devices),) = found["targets"]["content/relu2_1"]
    assert shape[:2] == [40, 50]  # of 37 rows
    assert of_devices == [[10, *shape[1:]]]
    assert len(found["targets"]["photorealism"]) == 2
    for shape, of_devices in found["targets"]["photorealism"]:
        assert shape[-2:] == [80, 103]  # of 77 rows
        assert of_devices == [[*shape[:-2], 20, 103]]


def test_the_devices_are_one_below_the_other():
    devices = [object() for _ in range(4)]
    mesh = mesh_of(devices)
    assert mesh.axis_names == (ROWS,)
    assert list(mesh.devices) == devices


TWO_HOSTS = f"""{STYLIZE}
assert jax.process_count() == 2
made(sys.argv[3], shard="space", **ADAM)
assert found[sys.argv[3]]["scales"][-1][2] == "split over 2 devices"
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs collectives between processes")
def test_two_hosts_make_the_picture_of_one(four, environment, tmp_path):
    """Each has a half while they work, and all of the picture in the end."""
    with socket.socket() as listening:
        listening.bind(("localhost", 0))
        address = f"localhost:{listening.getsockname()[1]}"
    flags = environment["XLA_FLAGS"].replace("count=4", "count=1")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", TWO_HOSTS, str(tmp_path), address, str(index)],
            env={**environment, "XLA_FLAGS": flags},
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    try:
        said = [process.communicate(timeout=180)[1] for process in processes]
    finally:
        for process in processes:
            process.send_signal(signal.SIGKILL)
    assert [process.returncode for process in processes] == [0, 0], said
    first, second = (np.load(tmp_path / f"{index}.npy") for index in range(2))
    np.testing.assert_array_equal(first, second)
    assert np.mean(np.abs(first - four[0]["adam"])) < 1e-5
