"""What a run will take: memory, time, and settings that would make it fit."""

import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convert_weights.weights_file import Convolution
from jaxstyle.execution import memory
from jaxstyle.execution.compilation import counted
from jaxstyle.execution.estimate import Estimate, ScaleEstimate, estimate, plannable
from jaxstyle.execution.factories import network_of
from jaxstyle.execution.memory import (
    COMPILING,
    bytes_before,
    bytes_before_network,
    device_bytes,
    largest_size,
    nbytes,
    optimizer_bytes,
    peak_bytes,
    remedies,
    rough_bytes,
    run_peaks,
    total_bytes,
)
from jaxstyle.execution.plan import Scale, blank
from jaxstyle.execution.strategy import WHOLE
from jaxstyle.images import Picture
from jaxstyle.optim import solve
from jaxstyle.runs.inputs import Inputs
from jaxstyle.runs.stylize import run
from jaxstyle.settings import resolve

QUICK = {
    "size": 64,
    "smallest_size": 32,
    "steps": (2, 1),
    "style_layers": ["relu1_1"],
    "content_layers": ["relu1_1"],
}


def shallow(**settings):
    return resolve(**{**QUICK, **settings})


def test_peak_bytes_are_arguments_outputs_and_what_is_kept():
    x = jax.ShapeDtypeStruct((1024,), jnp.float32)
    plain = jax.jit(lambda x: x + 1).lower(x).compile()
    donated = jax.jit(lambda x: x + 1, donate_argnums=0).lower(x).compile()
    assert peak_bytes(plain) == 2 * 4096
    assert peak_bytes(donated) == 4096
    assert peak_bytes(donated, x, {"a": np.zeros(3)}) == 2 * 4096 + 24


def test_an_estimate_compiles_and_describes_the_run(small_weights, picture):
    solve.solver_step.clear_cache()
    with counted() as compiled:
        found = estimate(small_weights, (48, 64), [(40, 30)], shallow())
    assert compiled.count >= 2
    coarse, fine = found.scales
    assert (coarse.height, coarse.width, coarse.steps, coarse.styles) == (24, 32, 2, ((32, 24),))
    assert (fine.height, fine.width, fine.steps, fine.styles) == (48, 64, 1, ((64, 48),))
    assert found.fits and not found.remedies
    assert found.peak_bytes == max(coarse.peak_bytes, fine.peak_bytes)
    assert found.compile_seconds > 0
    paces = [scale.run_seconds / (scale.steps * scale.step_flops) for scale in found.scales]
    assert paces[0] == pytest.approx(paces[1])

    content, style = (np.asarray(picture(0, *sides)) for sides in ((48, 64), (40, 30)))
    result = run(small_weights, Inputs(Picture(content), [style], shallow()))
    assert [scale.compilations for scale in result.scales] == [0, 0]
    assert [scale.target_compilations for scale in result.scales] == [0, 0]


def test_an_estimate_adds_up():
    scales = [ScaleEstimate(4, 4, ((4, 4),), n, 5.0, 100 * n, 1.5, 10.0 * n) for n in (2, 3)]
    record = json.loads(json.dumps(Estimate(tuple(scales), 250, ()).to_dict()))
    assert {name: value for name, value in record.items() if name != "scales"} == {
        "available_bytes": 250,
        "fixed_bytes": 0,
        "compilations": 2,
        "fits": False,
        "flops": 25.0,
        "peak_bytes": 300,
        "remedies": [],
        "seconds": 53.0,
        "steps": 5,
    }
    assert record["scales"][0]["styles"] == [[4, 4]]


@pytest.fixture
def limited(monkeypatch):
    """A function that limits the memory of the process to so many bytes more than it holds."""

    def limit(more):
        monkeypatch.setattr(memory.resources, "free_memory", lambda: more)

    return limit


def test_nothing_is_compiled_where_that_alone_takes_too_much(small_weights, limited):
    limited(COMPILING + memory.PLANNING - 1)
    with counted() as compiled:
        found = estimate(small_weights, (48, 64), [(40, 30)], shallow())
    assert compiled.count == 0
    assert found.fits and not found.remedies and found.seconds is None
    limited(COMPILING - 1)
    assert not estimate(small_weights, (48, 64), [(40, 30)], shallow()).fits
    assert COMPILING < found.fixed_bytes < found.peak_bytes
    assert [(scale.height, scale.width) for scale in found.scales] == [(24, 32), (48, 64)]


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "rough"])
def test_the_size_that_is_advised_fits(small_weights, limited, monkeypatch, share, compiled):
    monkeypatch.setattr("jaxstyle.execution.estimate.can_compile", lambda *_: compiled)
    settings = shallow(size=256, smallest_size=256, tile="off")
    sides = (256, 256), [(256, 256)]
    resident = memory.resources.resident_memory()  # the process grows as it estimates
    monkeypatch.setattr(memory.resources, "resident_memory", lambda *_: resident)
    found = estimate(small_weights, *sides, settings)
    limited(COMPILING + round(share * (found.peak_bytes - found.fixed_bytes)))
    found = estimate(small_weights, *sides, settings)
    assert not found.fits
    advised = [change["size"] for change in found.remedies if "size" in change]
    for size in advised:
        smaller = shallow(size=size, smallest_size=size, tile="off")
        assert estimate(small_weights, *sides, smaller).fits
    assert advised


def test_no_size_is_advised_that_is_too_small_for_the_layers():
    deep = resolve(size=64, style_layers=["relu5_1"], content_layers=["relu5_1"])
    changes = [{"size": 2}, {"size": 48}, {"optimizer": "lbfgs"}]
    assert list(plannable(changes, blank(64, 64), [blank(64, 64)], deep)) == changes[1:]


def test_no_step_is_timed_if_the_run_does_not_fit(small_weights, monkeypatch):
    monkeypatch.setattr(memory, "_accelerator_bytes", lambda: 1000)
    found = estimate(small_weights, (48, 64), [(40, 30)], shallow(smallest_size=64))
    assert not found.fits
    assert found.seconds is None


@pytest.fixture(scope="module")
def wide_weights(small_weights):
    """Weights with all the channels of VGG-19 in the first convolutions, which alone are used."""
    rng, layers, fan_in = np.random.default_rng(0), dict(small_weights.weights.layers), 3
    for name, channels in (("conv1_1", 64), ("conv1_2", 64), ("conv2_1", 128)):
        kernel = rng.normal(0, 0.05, (3, 3, fan_in, channels)).astype(np.float32)
        layers[name] = Convolution(kernel, np.zeros(channels, np.float32))
        fan_in = channels
    return replace(small_weights, weights=replace(small_weights.weights, layers=layers))


def footprint(network, side, settings, styles=32):
    return WHOLE.footprint(Scale(side, side, side, 1), network, [blank(styles, styles)], settings)


@pytest.fixture
def peak(small_weights):
    """A function from the side of a square to the memory it needs besides ``BEFORE``."""

    def compiled(side, **settings):
        chosen = shallow(**settings)
        found = footprint(network_of(small_weights, chosen), side, chosen)
        return run_peaks([found], BEFORE)[0] - BEFORE

    return compiled


BEFORE = 10**9


def test_large_style_pictures_count(peak):
    assert peak(32, style_scale=(8.0,)) > 2 * peak(32)


def test_the_recommended_size_fits_when_compiled(peak):
    needed = peak(256)
    size = largest_size(256, BEFORE + needed, BEFORE + needed // 2, BEFORE)
    assert 160 <= size < 256
    assert peak(size) <= needed // 2


def test_a_run_takes_what_the_process_holds_the_compiler_and_the_network_to_come(wide_weights):
    settings = shallow(precision="float32", style_layers=["relu1_1", "relu2_1"])
    algorithms = {"conv1_2": "winograd", "conv2_1": "winograd"}
    network = network_of(wide_weights, settings, algorithms)
    to_come = bytes_before_network(wide_weights.weights, settings) - bytes_before()
    assert to_come == pytest.approx(nbytes(network), abs=1_000_000)
    held, block = bytes_before(network), np.ones(100_000_000, np.uint8)
    assert held > COMPILING
    assert bytes_before() - held > 0.9 * block.nbytes


def test_maps_are_counted_to_near_what_the_compiled_program_takes(wide_weights):
    settings = shallow(precision="float32", style_layers=["relu1_1", "relu1_2"])
    network = network_of(wide_weights, settings)
    exact = footprint(network, 128, settings, styles=128).steps
    assert exact / 1.25 < rough_bytes(128, 128, settings) < 1.25 * exact


@pytest.mark.parametrize(("size", "limit"), [(512, 300e6), (1000, 2e9), (333, 250e6)])
def test_the_largest_size_fits_and_the_next_one_does_not(size, limit):
    fixed = 100_000_000

    def peak(side):
        return fixed + 2600 * side**2

    found = largest_size(size, peak(size), int(limit), fixed)
    assert found % 16 == 0
    assert peak(found) <= limit < peak(found + 16)
    assert largest_size(size, peak(size), fixed // 2, fixed) == 0


def test_remedies_are_settings_that_make_it_fit():
    scale = Scale(512, 512, 512, 10)
    adam, lbfgs = resolve(size=512), resolve(size=512, optimizer="lbfgs")
    history = optimizer_bytes(512, 512, lbfgs)
    assert history > 600e6
    peak = 700_000_000 + history
    assert list(remedies(scale, peak, peak, lbfgs, 0)) == []
    assert list(remedies(scale, peak, None, lbfgs, 0)) == []
    size, other = remedies(scale, peak, 800_000_000, lbfgs, 0)
    assert size == {"size": largest_size(512, peak, round(memory.TRUSTED * 800_000_000))}
    assert other == {"optimizer": "adam"}
    assert len(list(remedies(scale, peak, 800_000_000, adam, 0))) == 1
    assert len(list(remedies(scale, peak, 600_000_000, lbfgs, 0))) == 1
    shortest = resolve(size=512, size_rule="shortest")
    (found,) = remedies(scale, peak, 800_000_000, shortest, 0)
    assert found["size_rule"] == "shortest"


def test_half_precision_is_advised_on_accelerators(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    scale, settings = Scale(512, 512, 512, 10), resolve(size=512, precision="float32")
    assert {"precision": "bfloat16"} in remedies(scale, 1_000_000_000, 700_000_000, settings, 0)
    assert len(list(remedies(scale, 1_000_000_000, 400_000_000, settings, 0))) == 1


def test_device_bytes_is_the_limit_of_an_accelerator(monkeypatch):
    free, total = device_bytes(), total_bytes()
    assert free and total and 0 < free <= total
    monkeypatch.setattr(memory, "_accelerator_bytes", lambda: 7)
    assert (device_bytes(), total_bytes()) == (7, 7)


@pytest.mark.parametrize("message", ["RESOURCE_EXHAUSTED: too much", "Cannot allocate memory"])
def test_programs_and_their_compiler_run_out_of_memory(message):
    assert memory.out_of_memory(jax.errors.JaxRuntimeError(message))
    assert not memory.out_of_memory(jax.errors.JaxRuntimeError("INTERNAL: something else"))
