"""A plot of runs side by side: recall at each depth with its 95 % interval, one panel a direction.

Place in the flow: reports -> compare.png, compare.svg.
"""

import textwrap
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fusemix.reports.comparison.side_by_side import Comparison
from fusemix.reports.fonts import drawable
from fusemix.reports.layout import save_figure
from fusemix.reports.reading import RECALL, Report, common_ks
from fusemix.tables import DAGGER, metric_label, spoken

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c6d31")
"""Told apart by colour-blind people too: seven of Okabe and Ito, "Color universal design", 2008, and a brown."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
ZERO = "#8a8f98"
SPREAD = 0.7
"""Width that the runs of one depth share; depths are 1 apart."""
LABEL_WIDTH = 44
"""Letters after which a run's name goes on in the next line."""


def look(place: int) -> tuple[str, str]:
    """Colour and marker of a run; no two of the first 64 are alike in both."""
    return COLOURS[place % len(COLOURS)], MARKERS[(place + place // len(COLOURS)) % len(MARKERS)]


def draw_comparison(
    paths: Sequence[Path], reports: Sequence[Report], names: Sequence[str], comparable: Sequence[bool]
) -> str:
    """Draw all runs into one figure.

    Args:
        paths: to write, each in the format of its suffix.
        reports, names: of the runs.
        comparable: whether each measured the items of the first; the others are drawn hollow.

    Returns:
        One sentence on characters that could not be drawn, or nothing.
    """
    with drawable(names) as fonts:
        figure = comparison_figure(reports, [fonts.text(name) for name in names], comparable)
        save_figure(figure, paths)
    return fonts.told(paths[0].name)


def comparison_figure(reports: Sequence[Report], names: Sequence[str], comparable: Sequence[bool]) -> Figure:
    """The figure, for a file or a page; see `draw_comparison`."""
    figure = Figure(figsize=(9.5, 4.4 + 0.22 * -(-len(reports) // 2)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2, sharey=True)
    ks = common_ks(reports)
    drawn = [
        _draw_direction(axis, direction, ks, reports, comparable)
        for axis, direction in zip(axes, reports[0].directions, strict=True)
    ]
    axes[0].set_ylabel("recall at k, % (lines: 95 % intervals)")
    labels = [n if is_in else f"{n} {DAGGER} other items" for n, is_in in zip(names, comparable, strict=True)]
    labels = [textwrap.fill(label, LABEL_WIDTH) for label in labels]
    legend = figure.legend(drawn[0], labels, loc="outside lower center", ncols=2, frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)  # a name may hold dollar signs
    return figure


def differences_figure(comparisons: Sequence[Comparison], names: Sequence[str]) -> Figure:
    """How much each run differs from the first in each figure, in percentage points, with 95 % intervals.

    Args:
        comparisons: of every further run with the first; those that can be compared are drawn.
        names: of all runs, whose places give colours and markers.
    """
    drawn = [made for made in comparisons if made.differences]
    keys = list(dict.fromkeys(key for made in drawn for key in made.differences))
    figure = Figure(figsize=(9.5, 1.4 + (0.18 + 0.16 * len(drawn)) * len(keys)), layout="constrained")
    axis = figure.subplots()
    handles, points = [], []
    for number, made in enumerate(drawn):
        colour, marker = look(names.index(made.run))
        shift = SPREAD * ((number + 0.5) / len(drawn) - 0.5)
        for place, key in enumerate(keys):
            found = made.differences[key]
            ends = [100 * found.low, 100 * found.high]
            axis.plot(ends, [place + shift] * 2, color=colour, linewidth=1.8, solid_capstyle="butt")
            points = axis.plot(100 * found.difference, place + shift, marker, color=colour, markersize=5.5)
        handles += points
    axis.axvline(0, color=ZERO, linewidth=1.2)
    axis.set_yticks(range(len(keys)), [_figure_label(key) for key in keys])
    axis.set(ylim=(len(keys) - 0.5, -0.5), xlabel=f"percentage points more than {names[0]} (lines: 95 % intervals)")
    axis.grid(axis="x", color="#e6e6e6", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    figure.legend(handles, [made.run for made in drawn], loc="outside lower center", ncols=2, frameon=False)
    return figure


def _figure_label(key: str) -> str:
    direction, _, metric = key.partition("/")
    return f"{spoken(direction)} {metric_label(metric)}"


def _draw_direction(
    axis: Axes, direction: str, ks: Sequence[int], reports: Sequence[Report], comparable: Sequence[bool]
) -> list[Line2D]:
    lines = []
    for place, report in enumerate(reports):
        colour, marker = look(place)
        at = [depth + SPREAD * ((place + 0.5) / len(reports) - 0.5) for depth in range(len(ks))]
        values = [100 * (report.figure(direction, f"{RECALL}{k}") or 0.0) for k in ks]
        ends = [report.interval(direction, f"{RECALL}{k}") for k in ks]
        for x, end in zip(at, ends, strict=True):
            if end is not None:
                axis.plot([x, x], [100 * end[0], 100 * end[1]], color=colour, linewidth=1.6, solid_capstyle="butt")
        lines += axis.plot(
            at,
            values,
            linestyle="none",
            marker=marker,
            markersize=5.5,
            color=colour,
            markerfacecolor=colour if comparable[place] else "white",
        )
    axis.set_title(spoken(direction))
    axis.set_xticks(range(len(ks)), [f"k = {k}" for k in ks])
    axis.set_xlim(-0.5, len(ks) - 0.5)
    for border in range(len(ks) - 1):
        axis.axvline(border + 0.5, color="#dddddd", linewidth=0.8)
    axis.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axis.set_axisbelow(True)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    return lines
