"""Tests of bench tpu: the arithmetic, and the arguments of the compiler."""

import importlib.util

import jax
import pytest

from bench import tpu, work
from bench.traffic import hbm_bytes
from jaxstyle.errors import UsageError
from jaxstyle.execution.batched import Batched, mesh_of
from jaxstyle.settings import resolve
from tests.bench.conftest import SHALLOW, measured

CHIP = tpu.Chip("some-4", flops=100.0, hbm=1000.0, bandwidth=10.0, clock=1.0)
ROW = {"flops": 200.0, "bytes": 90.0, "hbm_bytes": 10.0, "model_seconds": 4.0, "peak": 500}


def test_a_step_takes_at_least_its_arithmetic_or_its_traffic():
    bound = tpu.computed(ROW, CHIP, images=4.0, steps=50.0)
    assert (bound["bound"], bound["roofline_seconds"]) == ("compute", 2.0)
    assert bound["roofline_images"] == 4 / (2 * 50)
    assert bound["model_images"] == 4 / (4 * 50)
    assert bound["share_of_hbm"] == 0.5
    assert bound["all_bytes_seconds"] == 9.0
    moving = tpu.computed({**ROW, "hbm_bytes": 30.0}, CHIP, images=4.0, steps=50.0)
    assert (moving["bound"], moving["roofline_seconds"]) == ("memory", 3.0)


def test_a_default_run_costs_as_much_as_so_many_steps_at_its_full_size():
    assert tpu.full_size_steps(resolve(size=512)) == 40 / 4 + 26


def test_clocks_follow_from_the_published_peaks():
    assert [round(chip.clock / 1e9, 2) for chip in tpu.CHIPS.values()] == [1.5, 1.75]


def test_cycles_are_those_of_the_entry_computation():
    inner = '%fused { %a = f32[] b(), backend_config={"estimated_cycles":"100"} }'
    entry = 'ENTRY %main { x={"estimated_cycles":"7"}\n y={"estimated_cycles":"5"} }'
    assert tpu.model_cycles(f"{inner}\n{entry}") == 12


def test_traffic_counts_tiles_and_pieces_but_not_the_chip():
    text = """%inside (x: f32[9]) -> f32[9] {
  ROOT %n = f32[9]{0:T(128)} negate(%x)
}
ENTRY %main (p: bf16[3,8,64]) -> bf16[3,8,64] {
  %p = bf16[3,8,64]{2,1,0:T(8,128)(2,1)} parameter(0)
  %s = ((bf16[3,8,64]{2,1,0:T(8,128)(2,1)}), bf16[1,8,64]{2,1,0:S(1)}, s32[]) slice-start(%p)
  %t = bf16[1,8,64]{2,1,0:T(8,128)S(1)} slice-done(%s)
  %u = bf16[1,8,64]{2,1,0:T(8,128)S(1)} negate(%t), metadata={}
  ROOT %v = bf16[3,8,64]{2,1,0:T(8,128)(2,1)} fusion(%u), kind=kLoop, calls=%inside
}"""
    assert hbm_bytes(text) == 8 * 64 * 2 + 3 * (8 * 128 * 2)


@pytest.mark.slow
def test_each_chip_has_its_images_and_the_whole_network():
    mesh = mesh_of(jax.devices()[:1])
    loaded, settings = work.few_channels(), resolve(size=16, precision="bfloat16", **SHALLOW)
    one = tpu.lower(loaded, settings, Batched(1, mesh), mesh).cost_analysis()
    many = tpu.lower(loaded, settings, Batched(4, mesh), mesh)
    assert many.cost_analysis()["flops"] == pytest.approx(4 * one["flops"], rel=0.1)
    (objective, rates, memory, state), _ = many.in_avals
    assert state.image.shape == (4, 16, 16, 3)
    assert objective.terms["content/relu1_1"].targets[0].shape == (4, 16, 16, 4)
    assert objective.terms["style/relu1_1"].weight.shape == (4,)
    assert rates.learning_rate.shape == (4,)
    assert all(leaf.shape[0] == 4 for leaf in jax.tree.leaves(memory))
    shapes = {leaf.shape for leaf in jax.tree.leaves(objective.network)}
    assert (3, 3, 3, 4) in shapes and (4, 3, 3, 3, 4) not in shapes


def test_shapes_are_those_of_vgg19():
    layers = tpu.shapes_only().weights.layers
    assert layers["conv1_1"].kernel.shape == (3, 3, 3, 64)
    assert layers["conv5_4"].kernel.shape == (3, 3, 512, 512)


@pytest.fixture
def installed(monkeypatch):
    """A function that makes libtpu appear installed or missing."""
    find = importlib.util.find_spec

    def set_to(there):
        def found(name, *others):
            return (there or None) if name == "libtpu" else find(name, *others)

        monkeypatch.setattr(importlib.util, "find_spec", found)

    return set_to


@pytest.mark.parametrize(
    ("there", "topology", "said"),
    [
        (False, "v5e:2x4", r"pip install 'jaxstyle\[tpu\]'"),
        (True, "v9:2x2", "--topology v9:2x2"),
    ],
    ids=["the compiler is missing", "an unknown chip"],
)
def test_what_is_not_there_is_refused_in_one_line(installed, there, topology, said):
    installed(there)
    with pytest.raises(UsageError, match=said):
        measured(tpu, "--topology", topology)


def test_a_case_that_fails_is_a_row(installed, monkeypatch):
    installed(True)
    asked = []

    def call(function, environment, **options):
        asked.append((function, environment["TPU_ACCELERATOR_TYPE"]))
        if options["size"] == 1024:
            raise RuntimeError("too large")
        return {**ROW, "chips": 8, "direct_flops": 1e9}

    monkeypatch.setattr(tpu, "call", call)
    rows = measured(tpu, "--topology", "v6e:2x4", quick=False)
    assert [(row["size"], row["batch"], row["split"]) for row in rows] == list(tpu.CASES)
    assert [row.get("error") for row in rows] == [None, None, "too large", None, None]
    assert asked[0] == ("bench.tpu:compiled", "v6e-8")
    shown = tpu.table(rows)
    assert "not measured" in shown and "v6e:2x4 1024: too large" in shown
