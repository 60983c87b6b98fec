"""A picture of encoders that were compared: a line a pair of stores, a panel a score, each with its interval.

Place in the flow: scores of every pair of stores, as plain data -> ranking.png, ranking.svg.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fusemix.reports.encoders.report import CKA, NEIGHBOURS, RECALL
from fusemix.reports.fonts import drawable
from fusemix.reports.layout import save_figure

COLOURS = {"align": "#0072b2", "predict": "#d55e00", "other": "#1a1a1a"}
MARKERS = {"align": "o", "predict": "s"}
CHANCE = "#8a8f98"
LONGEST = 40
"""Letters of a label; of a longer one, the middle is left out."""
LEAST, MOST = 0.05, 20.0
"""Separations that are drawn; what lies beyond stands at the end."""


def draw_ranking(paths: Sequence[Path], report: Mapping[str, Any]) -> str:
    """Draw all pairs of stores, the best at the top.

    Args:
        paths: to write, each in the format of its suffix.
        report: content of ranking.json.

    Returns:
        One sentence on characters that could not be drawn, or nothing.
    """
    labels = [_short(f"{each['left']} × {each['right']}") for each in report["ranking"]]
    with drawable(labels) as fonts:
        figure = ranking_figure(report, [fonts.text(label) for label in labels])
        save_figure(figure, paths)
    return fonts.told(paths[0].name)


def ranking_figure(report: Mapping[str, Any], labels: Sequence[str]) -> Figure:
    """The figure; see `draw_ranking`."""
    pairs, chance = report["ranking"], report["chance"]
    has_diagnosis = any(each["diagnosis"] for each in pairs)
    figure = Figure(figsize=(11.5 if has_diagnosis else 9.5, 1.8 + 0.27 * len(pairs)), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Sequence[Axes] = figure.subplots(1, 3 + has_diagnosis, sharey=True)
    titles = {RECALL: "recall, %", CKA: "CKA", NEIGHBOURS: f"mutual {report['settings']['k']}-NN, %"}
    for axis, (name, title) in zip(axes, titles.items(), strict=False):
        _draw_score(axis, pairs, name, chance[name], 1.0 if name == CKA else 100.0)
        axis.set_title(title, fontsize=10)
    if has_diagnosis:
        _draw_separation(axes[3], pairs)
    axes[0].set_yticks(range(len(pairs)), labels)
    for text in axes[0].get_yticklabels():
        text.set_parse_math(False)  # a name may hold dollar signs
    axes[0].set_ylim(len(pairs) - 0.4, -0.6)
    for axis in axes:
        axis.grid(axis="both", color="#ececec", linewidth=0.7)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8.5)
    return figure


def _draw_score(axis: Axes, pairs: Sequence[Mapping[str, Any]], name: str, chance: float, scale: float) -> None:
    axis.axvline(scale * chance, color=CHANCE, linewidth=1.2, linestyle=":", zorder=1)
    for place, each in enumerate(pairs):
        ends = [scale * end for end in each["intervals"][name]]
        axis.plot(ends, [place, place], color=COLOURS["other"], linewidth=1.8, solid_capstyle="butt")
        axis.plot(scale * each["figures"][name], place, "o", color=COLOURS["other"], markersize=4.5)
    axis.set_xlabel("dotted: by chance", fontsize=8.5, color="#5a5f68")


def _draw_separation(axis: Axes, pairs: Sequence[Mapping[str, Any]]) -> None:
    axis.axvline(1, color=CHANCE, linewidth=1.2)
    for place, each in enumerate(pairs):
        if each["diagnosis"] is None:
            continue
        ways = {"align": "align", "predict": each["diagnosis"]["predict"]}
        for shift, (name, way) in zip((-0.16, 0.16), ways.items(), strict=True):
            found = each["diagnosis"]["ways"][way]["separation"]
            at = [place + shift] * 2
            axis.plot([_drawn(end) for end in found["range"]], at, color=COLOURS[name], linewidth=1.4)
            axis.plot(_drawn(found["median"]), at[0], MARKERS[name], color=COLOURS[name], markersize=4.2)
    for name, marker in MARKERS.items():
        axis.plot([], [], marker, color=COLOURS[name], markersize=4.2, label=name)
    axis.set(xscale="log", xlim=(LEAST / 1.2, MOST * 1.2))
    axis.set_xticks([0.1, 1, 10], ["0.1", "1", "10"])
    axis.set_title("separation", fontsize=10)
    axis.set_xlabel("above 1: all signal comes first", fontsize=8.5, color="#5a5f68")
    axis.legend(loc="lower right", fontsize=8, frameon=True, framealpha=0.9, borderpad=0.3, handletextpad=0.1)


def _drawn(separation: float | None) -> float:
    return MOST if separation is None else min(max(separation, LEAST), MOST)


def _short(label: str) -> str:
    half = LONGEST // 2
    return label if len(label) <= LONGEST else f"{label[: half - 1]}…{label[-half:]}"
