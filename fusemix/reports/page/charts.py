"""The charts of a page: recall against depth, where the first linked items stand, and similarities.

Place in the flow: ranks and cosines -> Chart (inline SVG and its key figures in words) -> render.py.
Not here: what is computed (curves.py), and the map of both modalities, which the template draws (map.py).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int64
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fusemix.reports.page.curves import MARKED, Curve, rank_bounds, recall_at
from fusemix.reports.page.data import PairScores
from fusemix.reports.page.svg import inline_svg, svg_settings

COLOURS = ("#2b7bba", "#d9660a")
"""Blue and orange: told apart by colour-blind people, and 3:1 or more against both white and near-black."""
MARKERS = ("o", "s")
QUIET = "#8a8f98"
SIZE = (4.8, 3.2)
NUM_BINS = 60


class Chart(NamedTuple):
    """Inline SVG, and its key figures in words."""

    svg: str
    about: str


def recall_chart(curves: Sequence[Curve]) -> Chart:
    """Recall against depth on a logarithmic axis, for both directions; what a random order gives is dashed."""
    words = []

    def draw(axes: Axes) -> None:
        for curve, colour, marker in zip(curves, COLOURS, MARKERS, strict=False):
            marks = [place for place, depth in enumerate(curve.depths.tolist()) if depth in MARKED]
            line: dict[str, Any] = {"color": colour, "linewidth": 2, "marker": marker, "markersize": 6}
            axes.plot(curve.depths, 100 * curve.recall, label=curve.name, markevery=marks, **line)
            axes.plot(curve.depths, 100 * curve.chance, color=colour, linewidth=1.3, linestyle=(0, (4, 3)))
            at = ", ".join(f"{100 * curve.recall[m]:.1f} % at {curve.depths[m]}" for m in marks)
            words.append(f"{curve.name}: recall {at}.")
        axes.plot([], [], color=QUIET, linewidth=1.3, linestyle=(0, (4, 3)), label="by chance")
        axes.set(xscale="log", ylim=(0, 102), xlabel="depth k", ylabel="recall at k, %")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.grid(True, color=QUIET, alpha=0.25, linewidth=0.7)

    return _chart("recall", draw, words)


def rank_chart(ranks: Mapping[str, Int64[np.ndarray, " _"]]) -> Chart:
    """Share of queries whose first linked item stands at some ranks, in bins that grow; one set of bars a direction."""
    words = []
    bounds = rank_bounds(max(int(found.max()) for found in ranks.values()))
    starts = [1, *(bound + 1 for bound in bounds[:-1])]

    def draw(axes: Axes) -> None:
        width = 0.84 / len(ranks)
        for place, (name, found) in enumerate(ranks.items()):
            shares = 100 * np.diff(recall_at(found, np.array([0, *bounds])))
            middles = np.arange(len(bounds)) + (place - (len(ranks) - 1) / 2) * width
            axes.bar(middles, shares, width=width, color=COLOURS[place], label=name)
            half = int(np.ceil(np.median(found)))
            words.append(
                f"{name}: half of the queries find a linked item by rank {half:,}, all by rank {max(found):,}."
            )
        labels = [str(a) if a == b else f"{_short(a)}–{_short(b)}" for a, b in zip(starts, bounds, strict=True)]
        axes.set_xticks(np.arange(len(bounds)), labels, rotation=35, ha="right", rotation_mode="anchor")
        axes.set(xlabel="rank of the first linked item", ylabel="queries, %")
        axes.grid(True, axis="y", color=QUIET, alpha=0.25, linewidth=0.7)

    return _chart("ranks", draw, words)


def _short(number: int) -> str:
    return f"{number / 1000:.3g}k" if number >= 10_000 else str(number)


def similarity_chart(scores: PairScores) -> Chart:
    """How the cosines of linked and of unlinked pairs are spread; the area under each is one."""
    words = []
    edges = np.histogram_bin_edges(np.concatenate(scores), bins=NUM_BINS)

    def draw(axes: Axes) -> None:
        for (name, values), colour in zip(scores._asdict().items(), COLOURS, strict=True):
            if len(values) == 0:
                continue
            density, _ = np.histogram(values, bins=edges, density=True)
            dashed = (0, (4, 2)) if name == "unlinked" else "solid"
            axes.stairs(density, edges, fill=True, color=colour, alpha=0.22)
            axes.stairs(density, edges, color=colour, linewidth=1.8, linestyle=dashed, label=f"{name} pairs")
            words.append(f"{len(values):,} {name} pairs: median cosine {np.median(values):.3f}.")
        axes.set(xlabel="cosine", ylabel="density", ylim=(0, None))
        axes.grid(True, color=QUIET, alpha=0.25, linewidth=0.7)

    return _chart("similarities", draw, words)


def _chart(name: str, draw: Callable[[Axes], None], words: Sequence[str]) -> Chart:
    """Draw on bare axes; `draw` also fills in `words`."""
    with svg_settings(name):
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(QUIET)
        axes.tick_params(color=QUIET, which="both")
        axes.set_axisbelow(True)
        draw(axes)
        figure.legend(loc="outside upper left", ncols=3, frameon=False, columnspacing=1.4)
        about = " ".join(words)
        return Chart(inline_svg(figure, name, about), about)
