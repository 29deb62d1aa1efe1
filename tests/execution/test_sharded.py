"""One picture over several devices, and over two hosts: real processes with four devices."""

import json
import socket
import subprocess
import sys

import numpy as np
import pytest

from jaxstyle.execution.sharded import ROWS, mesh_of
from tests.processes import process_environment

STYLIZE = """
import json, sys
from pathlib import Path
import jax
import numpy as np
if sys.argv[3:]:
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(sys.argv[2], 2, int(sys.argv[3]))
from jaxstyle import stylize
from jaxstyle import images
from jaxstyle.network import tuning
from tests.networks import small_weights

tuning.algorithms = lambda precision: {}  # nothing is to be measured
rng = np.random.default_rng(0)
loaded = small_weights()
content, style = (
    images.resize(rng.uniform(size=(9, 12, 3)).astype(np.float32), *sides)
    for sides in ((75, 101), (60, 64))
)
shallow = {"content_layers": "relu2_1", "style_layers": ["relu1_1", "relu2_1"]}
one_scale = {"size": 101, "smallest_size": 101, "steps": 3}
directory, found = Path(sys.argv[1]), {}


def made(name, **settings):
    options = {"weights_file": loaded} | shallow | one_scale | settings
    result = stylize(content, style, **options)
    np.save(directory / f"{name}.npy", result.image)
    scales = [[s.height, s.width, s.strategy, s.compilations] for s in result.scales]
    found[name] = {"scales": scales, "losses": result.losses}


ADAM = {"carry": True, "average": 0.5, "smallest_size": 50, "steps": (3, 2)}
"""

FOUR_DEVICES = f"""{STYLIZE}
from contextlib import suppress
from dataclasses import replace
import jax.numpy as jnp
import optax
from PIL import Image
from jaxstyle import resolve
from jaxstyle.execution import batched
from jaxstyle.execution.batched import Batched
from jaxstyle.execution.compilation import counted
from jaxstyle.execution.factories import optimizer_of, rates_of, tuned_network
from jaxstyle.execution.inputs import inputs_at
from jaxstyle.execution.plan import Scale
from jaxstyle.execution.sharded import Sharded, filled
from jaxstyle.execution.strategy import WHOLE
from jaxstyle.losses.temporal import Earlier
from jaxstyle.images import Picture
from jaxstyle.optim import solve
from jaxstyle.runs.inputs import Inputs
from jaxstyle.runs.optimize import Hooks, optimize
from jaxstyle.runs.run_checkpoint import RunCheckpoint

masks = [str(directory / f"{{number}}.png") for number in range(4)]
for number, path in enumerate(masks):
    height, width = (75, 101) if number < 2 else (60, 64)
    own = (np.arange(width) < 37) == (number % 2 == 0)
    Image.fromarray(np.uint8(255 * np.broadcast_to(own, (height, width)))).save(path)
MASKED = {{"content_mask": masks[:2], "style_mask": masks[2:], "photorealism_weight": 10.0}}
LBFGS = {{"optimizer": "lbfgs", "history": 3, "keep_best": True, **MASKED}}


def cut(tree):
    return [
        [leaf.shape, sorted({{shard.data.shape for shard in leaf.addressable_shards}})]
        for leaf in jax.tree.leaves(tree)
    ]


def compiled(name, strategy, scale, inputs, starts, settings):
    optimizer = optimizer_of(settings[0])
    objective, program = strategy.objective(inputs), strategy.program(optimizer, None)
    rates = strategy.rates([rates_of(each) for each in settings])
    step = program.compile(objective, rates, strategy.state_shape(scale, optimizer))
    state, calls = strategy.begin(starts, optimizer), []
    with counted() as running:
        state, _ = program(objective, rates, state, 2)

    def bad_once(*arguments):
        calls.append(arguments)
        after, losses = program(*arguments)
        return after, replace(losses, finite=losses.finite & (len(calls) != 2))

    bad_once.compile, bad_once.restarted = program.compile, program.restarted
    begin = solve.Reached(rates, state, (solve.Course(),) * len(starts))
    *_, last = solve.minimize(bad_once, objective, begin, 3, 1)
    found[name] = {{
        "program": step.as_text(),
        "compiled in steps": running.count,
        "recovered": [len(calls), last.step, *last.learning_rates.tolist()],
    }}
    return objective


if sys.argv[2:] == ["slow"]:
    made("adam", **ADAM)
    made("adam split", shard="space", **ADAM)
    (directory / "found.json").write_text(json.dumps(found))
    sys.exit()

made("lbfgs", **LBFGS)
made("lbfgs split", shard="space", **LBFGS)
small, large = Scale(37, 50, 50, 1), Scale(75, 101, 101, 1)
reduced = images.resize(content, 37, 50)
moments = {{"nu": reduced, "mu": reduced - 0.5}}
for name, strategy in (("", WHOLE), (" split", Sharded())):
    for each, settings in (("lbfgs", LBFGS), ("adam", ADAM)):
        optimizer = optimizer_of(resolve(shard="space", **settings))
        start = strategy.begin([content], optimizer)
        restarted = strategy.program(optimizer, None).restarted(start)
        found[f"{{each}} begun"], found[f"{{each}} restarted"] = cut(start), cut(restarted)
    before = strategy.begin([reduced], optimizer)
    known = {{
        key: filled(value, strategy.mesh).values if name else jnp.asarray(value)
        for key, value in moments.items()
    }}
    coarser = optax.tree.get(before.optimizer, "mu")[1:]
    levels = {{key: [finest, *coarser] for key, finest in known.items()}}
    before = replace(before, optimizer=optax.tree.set(before.optimizer, **levels))
    after = strategy.carried(before, start, small, large)
    for key in moments:
        np.save(directory / f"{{key}}{{name}}.npy", optax.tree.get(after.optimizer, key)[0][:75])
network = tuned_network(loaded, resolve())
photo = resolve(**shallow, shard="space", photorealism_weight=10.0)
earlier = Earlier(
    rng.uniform(size=(75, 101, 2, 3)).astype(np.float32),
    rng.uniform(size=(75, 101, 2)).astype(np.float32),
)
more = {{"earlier": earlier, "temporal_weight": 40.0}}
inputs = [inputs_at(large, network, content, [style], photo, **more)]
split = compiled("split", Sharded(), large, inputs, [content], [photo])
found["targets"] = {{
    name: cut(split.padded.terms[name].targets)
    for name in ("content/relu2_1", "photorealism", "temporal")
}}
start = images.resize(content[::-1], 75, 101)
graded = jax.jit(lambda scored, image: jax.value_and_grad(scored, has_aux=True)(image))
for name, scored, image in (
    ("held", WHOLE.objective(inputs), start),
    ("held split", split, filled(start, Sharded().mesh).values),
):
    (total, terms), gradient = graded(scored, image)
    np.save(directory / f"{{name}}.npy", gradient)
    found[name] = {{"total": float(total), **{{key: float(x) for key, x in terms.items()}}}}

settings = [
    resolve(size=32, steps=2, smallest_size=32, style_weight=1.0 + number, **shallow)
    for number in range(4)
]
cells = [
    Inputs(Picture(content[number : number + 32, :32]), [style[:32, :32]], each)
    for number, each in enumerate(settings)
]
mesh = batched.mesh_of(jax.devices())
for name, devices in (("batch", None), ("batch sharded", mesh)):
    results = optimize(loaded, cells, mesh=devices)
    np.save(directory / f"{{name}}.npy", np.stack([each.image for each in results]))


def interrupt(progress, checkpoint):
    kept.append(checkpoint.to_tree())
    raise KeyboardInterrupt


def listen(event, seconds, fun_name="", **details):
    names.append((event.rpartition("/")[2], fun_name))


kept, names = [], []
with suppress(KeyboardInterrupt):
    optimize(loaded, cells, Hooks(interrupt), mesh=mesh)
saved = RunCheckpoint.from_tree(kept[0], settings[0])
jax.monitoring.register_event_duration_secs_listener(listen)
resumed = optimize(loaded, cells, saved=saved, mesh=mesh)
np.save(directory / "resumed.npy", np.stack([each.image for each in resumed]))
found["resumed"] = names.count(("backend_compile_duration", "jit(solver_step)"))
network, small = tuned_network(loaded, settings[0]), Scale(32, 32, 32, 2)
inputs = [
    inputs_at(small, network, cell.content.rgb, cell.styles, cell.settings) for cell in cells
]
starts = [cell.content.rgb for cell in cells]
objective = compiled("batch", Batched(4, mesh), small, inputs, starts, settings)
import jaxstyle.__main__
kernel = objective.network.convolutions["conv1_2"].kernel[...]
found["everywhere"] = kernel.sharding.is_fully_replicated and len(kernel.sharding.device_set) == 4
found["imports orbax"] = "orbax.checkpoint" in sys.modules
(directory / "found.json").write_text(json.dumps(found))
"""


def of_four_devices(directory, *arguments):
    """What a process with four devices made: pictures by name, and what is known of them."""
    done = subprocess.run(
        [sys.executable, "-c", FOUR_DEVICES, str(directory), *arguments],
        capture_output=True,
        text=True,
        env=process_environment(devices=4),
    )
    assert done.returncode == 0, done.stderr
    pictures = {path.stem: np.load(path) for path in directory.glob("*.npy")}
    return pictures, json.loads((directory / "found.json").read_text())


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    """Of the one process that all quick tests of several devices share: it takes seconds."""
    return of_four_devices(tmp_path_factory.mktemp("four"))


@pytest.fixture(scope="module")
def slow_four(tmp_path_factory):
    return of_four_devices(tmp_path_factory.mktemp("four"), "slow")


WHOLE_RUNS = [
    ("four", "lbfgs", [[75, 101]]),
    pytest.param("slow_four", "adam", [[37, 50], [75, 101]], marks=pytest.mark.slow),
]
"""With masks, at one scale; and without, at two."""


@pytest.mark.parametrize(("made", "name", "sides"), WHOLE_RUNS)
def test_four_devices_give_the_picture_of_one(request, made, name, sides):
    """Its sides are uneven: four devices cannot have equal parts of it."""
    pictures, found = request.getfixturevalue(made)
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
    # Both say how they were made, and were compiled once a scale.
    assert found[name]["scales"] == [[*each, "whole", 1] for each in sides]
    split = "split over 4 devices"
    assert found[f"{name} split"]["scales"] == [[*each, split, 1] for each in sides]


@pytest.mark.parametrize("made", ["begun", "restarted"])
@pytest.mark.parametrize("name", ["adam", "lbfgs"])
def test_every_device_stores_a_quarter_of_the_large_arrays(four, name, made):
    large = [leaf for leaf in four[1][f"{name} {made}"] if leaf[0][-3:] == [76, 101, 3]]
    assert len(large) >= 5  # image, average, best, and two of the optimizer's own
    for shape, of_devices in large:
        assert of_devices == [[*shape[:-3], 19, 101, 3]]


def test_carried_moments_equal_those_of_one_device(four):
    """They go from 37 rows to 75: neither is a multiple of the devices."""
    pictures, _ = four
    for name in ("mu", "nu"):
        assert np.ptp(pictures[name]) > 0.1
        np.testing.assert_allclose(pictures[f"{name} split"], pictures[name], atol=1e-6)


def test_targets_with_as_many_rows_as_the_picture_are_split_too(four):
    _, found = four
    ((shape, of_devices),) = found["targets"]["content/relu2_1"]
    assert shape[:2] == [40, 50]  # of 37 rows
    assert of_devices == [[10, *shape[1:]]]
    assert len(found["targets"]["photorealism"]) == 2
    for shape, of_devices in found["targets"]["photorealism"]:
        assert shape[-2:] == [80, 103]  # of 77 rows
        assert of_devices == [[*shape[:-2], 20, 103]]


def test_earlier_frames_are_split_by_rows_and_count_as_on_one_device(four):
    """The last device has 18 rows of its own and one of padding, which counts for nothing."""
    pictures, found = four
    for (shape, of_devices), own in zip(found["targets"]["temporal"], ((2, 3), (2,)), strict=True):
        assert shape == [76, 101, *own]
        assert of_devices == [[19, 101, *own]]
    assert found["held"] == pytest.approx(found["held split"], rel=1e-4)
    assert found["held"]["temporal"] > 0.1 * found["held"]["total"]
    one, split = pictures["held"], pictures["held split"]
    np.testing.assert_allclose(split[:75], one, atol=1e-4 * np.abs(one).max())
    assert not split[75:].any()


def test_a_batch_over_four_devices_equals_one_device_without_communication(four):
    pictures, found = four
    np.testing.assert_allclose(pictures["batch sharded"], pictures["batch"], atol=2e-4)
    program = found["batch"]["program"]
    for gathering in ("all-gather", "all-to-all", "all-reduce", "collective-permute"):
        assert gathering not in program
    assert "f32[1,32,32,3]" in program, "each device has one picture"
    assert found["everywhere"], "and the whole network"


@pytest.mark.parametrize(("name", "rates"), [("split", [0.015]), ("batch", [0.015] * 4)])
def test_steps_over_four_devices_are_compiled_ahead_and_taken_back_if_bad(four, name, rates):
    found = four[1][name]
    assert found["compiled in steps"] == 0
    calls, steps, *halved = found["recovered"]
    assert (calls, steps) == (4, 3)
    np.testing.assert_allclose(halved, rates)


def test_a_batch_over_four_devices_is_resumed_with_the_same_program(four):
    pictures, found = four
    np.testing.assert_array_equal(pictures["resumed"], pictures["batch sharded"])
    assert found["resumed"] == 0


def test_a_run_does_not_import_orbax(four):
    """Orbax takes seconds to import."""
    assert not four[1]["imports orbax"]


def test_the_mesh_has_one_axis_of_rows():
    devices = [object() for _ in range(4)]
    mesh = mesh_of(devices)
    assert mesh.axis_names == (ROWS,)
    assert list(mesh.devices) == devices


TWO_HOSTS = f"""{STYLIZE}
from jaxstyle import resolve
from jaxstyle.images import Picture
from jaxstyle.runs.inputs import Inputs
from jaxstyle.runs.optimize import Hooks
from jaxstyle.runs.run_checkpoint import RunCheckpoint
from jaxstyle.runs.stylize import run

assert jax.process_count() == 2
made(sys.argv[3], shard="space", **ADAM)
assert found[sys.argv[3]]["scales"][-1][2] == "split over 2 devices"

settings, kept = resolve(shard="space", **shallow, **{{**one_scale, **ADAM}}), []
inputs = Inputs(Picture(content), [style], settings)
hooks = Hooks(lambda progress, saved: kept.append(saved.to_tree()) if progress.scale else None)
whole = run(loaded, inputs, hooks)
resumed = run(loaded, inputs, saved=RunCheckpoint.from_tree(kept[0], settings))
assert resumed.image.tobytes() == whole.image.tobytes()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs collectives between processes")
def test_two_hosts_make_the_picture_of_one(slow_four, tmp_path):
    """Each has half of the picture while they work, all of it in the end, and can resume."""
    with socket.socket() as listening:
        listening.bind(("localhost", 0))
        address = f"localhost:{listening.getsockname()[1]}"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", TWO_HOSTS, str(tmp_path), address, str(index)],
            env=process_environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    try:
        said = [process.communicate(timeout=180)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], said
    first, second = (np.load(tmp_path / f"{index}.npy") for index in range(2))
    np.testing.assert_array_equal(first, second)
    assert np.mean(np.abs(first - slow_four[0]["adam"])) < 1e-5
