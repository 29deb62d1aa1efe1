"""Plots of BENCHMARKS.md: one function per command, which draws a figure of its rows."""

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter, ScalarFormatter

from bench.breakdown import PARTS
from bench.compile import WARM
from bench.worker import SPANS, Row

INK, GRID = "#24292f", "#d8dee4"
COLORS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#8c8c8c")
"""The palette of Okabe and Ito, which color-blind people can distinguish too."""

MEGABYTE, GIGABYTE = 1e6, 1e9


def compile_plot(rows: Sequence[Row]) -> Figure | None:
    """Plot the compile time and run time of every scale, with cold and warm cache."""
    scales = [row for row in rows if row["part"] == "scale" and "error" not in row]
    scales = [row for row in scales if row["scale"] != "sum"]
    if not scales:
        return None
    bars = [(row, ending) for row in reversed(scales) for ending in (WARM, "")]
    labels = [f"{row['scale']} px, {'warm' if end else 'cold'} cache" for row, end in bars]
    spans = {name: [row[name + ending] for row, ending in bars] for name in SPANS}
    stages = {
        "prepare": spans["prepare"],
        "trace and lower": [sum(each) for each in zip(spans["trace"], spans["lower"], strict=True)],
        "compile": spans["compile"],
        "first step": spans["first_step"],
        "later steps": [row["run"] for row, _ in bars],
    }
    figure, (axes,) = canvas(1, height=1.2 + 0.38 * len(bars))
    stacked(axes, labels, stages)
    axes.set_xlabel("seconds")
    axes.set_title("Compile time against run time, by scale")
    return figure


def speed_plot(rows: Sequence[Row]) -> Figure | None:
    """Plot the share of peak throughput by size, for Adam's steps, and the parts of a step."""
    steps = [row for row in rows if row["part"] == "step" and "error" not in row]
    steps = [row for row in steps if row["optimizer"] == "adam"]
    parts = [row for row in rows if row["part"] == "breakdown" and "error" not in row]
    if not steps:
        return None
    figure, (left, right) = canvas(2, height=4.4)
    lines = dict.fromkeys((row["precision"], row["batch"]) for row in steps)
    precisions = list(dict.fromkeys(precision for precision, _ in lines))
    for precision, batch in lines:
        of = [row for row in steps if (row["precision"], row["batch"]) == (precision, batch)]
        left.plot(
            [row["size"] for row in of],
            [row["share"] for row in of],
            color=COLORS[precisions.index(precision)],
            linestyle=":" if batch == 1 else "-",
            marker="o",
            label=f"{precision}, batch {batch}",
        )
    left.set_xscale("log", base=2)
    left.set_xticks(sorted({row["size"] for row in steps}))
    left.xaxis.set_major_formatter(ScalarFormatter())
    left.yaxis.set_major_formatter(PercentFormatter(1))
    left.set_ylim(0, 1.08 * max(row["share"] for row in steps))
    left.set_xlabel("size in pixels")
    left.set_title("Share of the peak of matrix products")
    legend_below(left, 3)
    labels = [f"{row['precision']}, {row['size']} px" for row in reversed(parts)]
    stacked(right, labels, {p: [max(0, row[p]) for row in reversed(parts)] for p in PARTS})
    right.set_xlabel("milliseconds")
    right.set_title("Time of a step by part, Adam")
    return figure


def peers_plot(rows: Sequence[Row]) -> Figure | None:
    """Plot the ratio of PyTorch's time per step to jaxstyle's; None if no row has one."""
    found = [row for row in rows if row["part"] == "step" and "ratio" in row]
    if not found:
        return None
    figure, (axes,) = canvas(1, height=1.2 + 0.3 * len(found))
    peers = list(dict.fromkeys(row["peer"] for row in found))
    for place, row in enumerate(reversed(found)):
        error = [[row["ratio"] - row["ratio_low"]], [row["ratio_high"] - row["ratio"]]]
        reach = [[max(0.0, value) for value in end] for end in error]
        color = COLORS[peers.index(row["peer"])]
        axes.barh(place, row["ratio"], xerr=reach, color=color, ecolor=INK, height=0.7)
        axes.text(0.02, place, f"{row['ratio']:.2f}", va="center", color="white", weight="bold")
    names = ("size", "batch", "optimizer", "precision", "peer")
    axes.set_yticks(
        range(len(found)),
        ["{} px, batch {}, {}, {} against {}".format(*map(row.get, names)) for row in found[::-1]],
    )
    axes.margins(y=0.01)
    axes.axvline(1, color=INK, linewidth=1)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("PyTorch's time over jaxstyle's")
    axes.set_title("Time per step, against PyTorch")
    return figure


def memory_plot(rows: Sequence[Row]) -> Figure | None:
    """Plot measured against predicted peak memory."""
    found = [row for row in rows if row.get("predicted") and row.get("measured")]
    if not found:
        return None
    figure, (axes,) = canvas(1, height=4.2)
    ends = [bytes / MEGABYTE for row in found for bytes in (row["predicted"], row["measured"])]
    axes.plot([min(ends), max(ends)], [min(ends), max(ends)], color=INK, linewidth=1, label="equal")
    kinds = list(dict.fromkeys((row["optimizer"], row["precision"]) for row in found))
    for color, kind in zip(COLORS * len(kinds), kinds, strict=False):
        of = [row for row in found if (row["optimizer"], row["precision"]) == kind]
        axes.scatter(
            [row["predicted"] / MEGABYTE for row in of],
            [row["measured"] / MEGABYTE for row in of],
            color=color,
            label=", ".join(kind),
            zorder=3,
        )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(ScalarFormatter())
    axes.set_xlabel("predicted MB")
    axes.set_ylabel("measured MB")
    axes.set_title("Peak memory, predicted and measured")
    axes.legend()
    return figure


def tiles_plot(rows: Sequence[Row]) -> Figure | None:
    """Plot peak memory by size, and time per megapixel relative to a picture of 1024 x 1024."""
    sized = [row for row in rows if row.get("measured")]
    timed = [row for row in rows if "growth" in row]
    if len(sized) < 2 or not timed:
        return None
    figure, (left, right) = canvas(2, height=4.2)
    for color, way in zip(COLORS, dict.fromkeys(row["way"] for row in sized), strict=False):
        of = [row for row in sized if row["way"] == way]
        gigabytes = [row["measured"] / GIGABYTE for row in of]
        left.plot(list(map(megapixels, of)), gigabytes, color=color, marker="o", label=way)
    left.set_ylabel("GB, minus the process's memory before")
    left.set_title("Peak memory of a step and its targets")
    left.set_ylim(bottom=0)
    left.legend()
    for color, name, label in (
        (COLORS[0], "growth", "time"),
        (COLORS[1], "processor_growth", "processor time"),
    ):
        of = [row[name] for row in timed]
        right.plot(list(map(megapixels, timed)), of, color=color, marker="o", label=label)
    right.axhline(1, color=INK, linewidth=1)
    right.set_ylim(bottom=0)
    right.set_title("Time per megapixel in tiles, relative to 1024 x 1024")
    right.legend(loc="lower right")
    for axes in (left, right):
        axes.set_xlabel("megapixels")
        axes.set_xlim(left=0)
    return figure


def megapixels(row: Row) -> float:
    """Return the megapixels of a row's picture."""
    return row["height"] * row["width"] / 1e6


PLOTS: dict[str, Callable[[Sequence[Row]], Figure | None]] = {
    "compile": compile_plot,
    "speed": speed_plot,
    "peers": peers_plot,
    "memory": memory_plot,
    "tiles": tiles_plot,
}


def canvas(columns: int, height: float) -> tuple[Figure, list[Axes]]:
    """Create a figure in the common style with axes side by side."""
    figure = Figure(figsize=(10, height), layout="constrained", facecolor="white")
    row = [figure.add_subplot(1, columns, i + 1) for i in range(columns)]
    for axes in row:
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.spines["bottom"].set_color(GRID)
        axes.tick_params(colors=INK, length=0)
        axes.grid(color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
    return figure, row


def stacked(axes: Axes, labels: Sequence[str], parts: dict[str, list[float]]) -> None:
    """Draw stacked horizontal bars."""
    ends = [0.0] * len(labels)
    for color, (name, lengths) in zip(COLORS, parts.items(), strict=False):
        axes.barh(range(len(labels)), lengths, left=ends, color=color, label=name, height=0.7)
        ends = [end + length for end, length in zip(ends, lengths, strict=True)]
    axes.set_yticks(range(len(labels)), labels)
    axes.grid(axis="y", visible=False)
    legend_below(axes, len(parts))


def legend_below(axes: Axes, columns: int) -> None:
    """Draw a legend below the label of the x axis."""
    place = (0.5, -0.14)
    small = {"fontsize": 8, "handlelength": 1.4, "columnspacing": 1.2, "frameon": False}
    axes.legend(ncols=columns, loc="upper center", bbox_to_anchor=place, **small)
