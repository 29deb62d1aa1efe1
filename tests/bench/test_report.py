"""Tests of the page and the plots."""

from argparse import Namespace

import pytest

from bench import record, report
from jaxstyle.errors import UsageError

plots = pytest.importorskip("bench.plots", exc_type=ImportError)

SPANS = dict.fromkeys(("prepare", "trace", "lower", "compile", "first_step"), 0.5)
SCALE = SPANS | {f"{name}_warm": 0.1 for name in SPANS}

ROWS = {
    "compile": [
        {"part": "scale", "scale": "16", "steps": 3, "step": 0.1, "run": 0.2} | SCALE,
        {"part": "scale", "scale": "sum", "steps": 3, "run": 0.2} | SCALE,
        {"part": "count", "error": "failed"},
    ],
    "speed": [
        {"part": "step", "size": 16, "batch": 1, "precision": "float32", "optimizer": "adam"}
        | {"ms": 2.5, "low": 2.0, "high": 3.0, "gflops": 5.0, "share": 0.25},
        {"part": "step", "size": 32, "batch": 1, "precision": "float32", "optimizer": "adam"}
        | {"error": "out of memory"},
        {"part": "breakdown", "size": 16, "precision": "float32", "network": 2.0, "losses": 0.5}
        | {"optimizer": -0.1, "host": 0.1, "step": 2.5},
    ],
}


@pytest.fixture
def folder(tmp_path):
    for command, rows in ROWS.items():
        result = record.record(command, {"quick": command == "speed"}, rows)
        record.save(result, tmp_path / "results" / f"{command}-cpu.json")
    return tmp_path


def write(folder):
    output, plots = folder / "BENCHMARKS.md", folder / "bench" / "plots"
    report.main(Namespace(results=folder / "results", output=output, plots=plots))
    return output.read_text("utf-8")


def test_the_page_has_a_section_plot_and_table_for_every_record(folder):
    page = write(folder)
    headings = [line for line in page.splitlines() if line.startswith("## ")]
    assert headings == ["## Compile time against run time", "## Speed against the machine's limit"]
    links = [line.split("(")[1].rstrip(")") for line in page.splitlines() if line[:2] == "!["]
    assert len(links) == 2
    for link in links:
        assert not link.startswith("/")
        assert (folder / link).read_bytes().startswith(b"\x89PNG")
    assert "| 16 | 1 | float32 | adam | 2.5 |" in page
    assert "out of memory" in page
    assert "`python -m bench speed --quick`, commit " in page
    assert "`python -m bench compile`, commit " in page


def test_without_records_nothing_is_written(tmp_path):
    with pytest.raises(UsageError, match="run a benchmark first"):
        write(tmp_path)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("command", plots.PLOTS)
def test_nothing_but_failures_is_no_plot(command):
    assert plots.PLOTS[command]([{"part": "step", "error": "out of memory"}]) is None


def test_bars_of_peers_and_points_of_memory_are_drawn():
    case = {"part": "step", "size": 16, "batch": 1, "optimizer": "adam", "precision": "float32"}
    ratios = {"peer": "eager", "ratio": 2.0, "ratio_low": 1.5, "ratio_high": 2.5}
    bars = plots.peers_plot([case | ratios, case | ratios | {"peer": "expert"}])
    assert len(bars.axes[0].patches) == 2
    points = plots.memory_plot([case | {"predicted": 1e6, "measured": 2e6}])
    assert points.axes[0].collections[0].get_offsets().tolist() == [[1.0, 2.0]]


def test_memory_and_cost_of_large_pictures_are_drawn_by_their_megapixels():
    sides = {"height": 1000, "width": 2000}
    rows = [sides | {"way": way, "measured": 3e9} for way in ("whole", "tiles")]
    rows.append(sides | {"way": "tiles", "growth": 1.1, "processor_growth": 1.05})
    memory, cost = plots.tiles_plot(rows).axes
    assert [line.get_xydata().tolist() for line in memory.lines] == [[[2.0, 3.0]]] * 2
    assert [line.get_xydata().tolist() for line in cost.lines[:2]] == [[[2.0, 1.1]], [[2.0, 1.05]]]


def test_two_machines_have_plots_of_their_own():
    gpu = {"machine": {"platform": "gpu", "device": "NVIDIA H200", "cpu": "x"}}
    cpu = {"machine": {"platform": "cpu", "device": "cpu", "cpu": "AMD EPYC (2)"}}
    assert [report.slug(gpu), report.slug(cpu)] == ["nvidia-h200", "amd-epyc-2"]
