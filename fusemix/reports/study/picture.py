"""Plots of a study: figures against an axis of numbers, with the spread of seeds; or a bar for each case.

Place in the flow: rows -> study.png, study.svg.

A column of panels for each of the first figures, a row for each value of further axes, and a colour for each value of
the first axis that is neither x nor drawn in rows.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from fusemix.reports.comparison.picture import look
from fusemix.reports.fonts import drawable
from fusemix.reports.layout import save_figure
from fusemix.reports.study.results import Row
from fusemix.reports.study.tables import column_label
from fusemix.tables import PERCENT

MOST_COLUMNS, MOST_ROWS = 3, 6
PANEL = (3.3, 2.7)
"""Inches; three of them are as wide as a page of the docs."""
DECADES = 10.0
"""An axis whose largest value is so many times its least one is drawn by logarithms."""
MOST_BARS_FLAT = 4
"""Names of more bars stand at an angle."""
GRID = "#e6e6e6"


class Layout(NamedTuple):
    """Which axis is drawn as what.

    Attributes:
        x: along the panel.
        colour: None where there is one series.
        rows: the others.
    """

    x: str | None
    colour: str | None
    rows: tuple[str, ...]


def layout_of(axes: Sequence[str], x: str | None) -> Layout:
    """How a study with such axes, seeds left out, is drawn; without x the first axis gives the bars.

    >>> layout_of(["size", "adapter"], "size")
    Layout(x='size', colour='adapter', rows=())
    """
    others = [axis for axis in axes if axis != x]
    along = x if x is not None else (others.pop(0) if others else None)
    return Layout(along, others[0] if others else None, tuple(others[1:]))


def draw_study(paths: Sequence[Path], rows: Sequence[Row], columns: Sequence[str], x: str | None) -> str:
    """Draw all rows into one figure.

    Args:
        paths: to write, each in the format of its suffix.
        rows: with figures; there is one at least.
        columns: of figures, of which the first are drawn.
        x: axis of numbers; None for bars.

    Returns:
        One sentence on characters that could not be drawn, or nothing.
    """
    texts = [text for row in rows for axis, value in row.axes.items() for text in (axis, str(value))]
    with drawable(texts) as fonts:
        figure = study_figure(rows, columns[:MOST_COLUMNS], x, fonts.text)
        save_figure(figure, paths)
    return fonts.told(paths[0].name)


def study_figure(rows: Sequence[Row], columns: Sequence[str], x: str | None, drawn: Any = str) -> Figure:
    """The figure; see `draw_study`."""
    axes = list(rows[0].axes)
    layout = layout_of(axes, x)
    bands = _groups(rows, layout.rows)[:MOST_ROWS]
    series = list(dict.fromkeys(row.axes[layout.colour] for row in rows)) if layout.colour else [None]
    legend = 0.25 + 0.22 * -(-len(series) // 4) if layout.colour else 0.0
    size = (PANEL[0] * max(2, len(columns)), PANEL[1] * len(bands) + legend)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(bands), len(columns), squeeze=False)
    for (label, of_band), line in zip(bands, panels, strict=True):
        for column, panel in zip(columns, line, strict=True):
            if x is None:
                _bars(panel, of_band, column, layout, series, drawn)
            else:
                _lines(panel, of_band, column, layout, series)
                panel.set_xlabel(drawn(x), parse_math=False)
            title = column_label(column) + (f"\n{drawn(label)}" if label else "")
            panel.set_title(title, fontsize=10, parse_math=False)
            _quiet(panel)
        line[0].set_ylabel(_unit(of_band, columns[0], x), fontsize=9)
    if layout.colour:
        handles = [_handle(panels[0][0], place) for place in range(len(series))]
        labels = [drawn(f"{layout.colour} = {value}") for value in series]
        made = figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
        for text in made.get_texts():
            text.set_parse_math(False)
    return figure


def _groups(rows: Sequence[Row], axes: Sequence[str]) -> list[tuple[str, list[Row]]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(", ".join(f"{axis} = {row.axes[axis]}" for axis in axes), []).append(row)
    return list(found.items())


def _unit(rows: Sequence[Row], column: str, x: str | None) -> str:
    """What the numbers of a panel are, and what is drawn of their spread."""
    percent = "%" if column.rpartition("/")[2].startswith(PERCENT) else ""
    has_spread = any(found.sd is not None for row in rows for found in row.figures.values())
    return f"{percent} ({'line' if x is None else 'band'}: ± one sd of seeds)".strip() if has_spread else percent


def _handle(panel: Axes, place: int) -> Any:
    colour, marker = look(place)
    return panel.plot([], [], color=colour, marker=marker, markersize=5)[0]


def _scaled(row: Row, column: str) -> tuple[float, float]:
    """Mean and spread as they are drawn: recall in percent; not a number where there is no figure."""
    factor = 100 if column.rpartition("/")[2].startswith(PERCENT) else 1
    found = row.figures.get(column)
    return (float("nan"), 0.0) if found is None else (factor * found.mean, factor * (found.sd or 0.0))


def _of_series(rows: Sequence[Row], layout: Layout, value: Any) -> list[Row]:
    return [row for row in rows if layout.colour is None or row.axes[layout.colour] == value]


def _lines(panel: Axes, rows: Sequence[Row], column: str, layout: Layout, series: Sequence[Any]) -> None:
    assert layout.x is not None, "lines are drawn against an axis"
    values = sorted({row.axes[layout.x] for row in rows})
    for place, value in enumerate(series):
        colour, marker = look(place)
        found = sorted(_of_series(rows, layout, value), key=lambda row: row.axes[layout.x or ""])
        at = np.array([row.axes[layout.x] for row in found], dtype=float)
        means, sds = np.array([_scaled(row, column) for row in found]).reshape(-1, 2).T
        panel.plot(at, means, color=colour, marker=marker, markersize=4.5, linewidth=1.6)
        panel.fill_between(at, means - sds, means + sds, color=colour, alpha=0.2, linewidth=0)
    if values[0] > 0 and values[-1] / values[0] >= DECADES:
        panel.set_xscale("log")
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.xaxis.set_minor_locator(NullLocator())
    shown = values if len(values) <= 6 else values[:: -(-len(values) // 6)]
    panel.set_xticks(shown, [f"{value:,.10g}" for value in shown], fontsize=8)


def _bars(panel: Axes, rows: Sequence[Row], column: str, layout: Layout, series: Sequence[Any], drawn: Any) -> None:
    names = list(dict.fromkeys(str(row.axes[layout.x]) if layout.x else "" for row in rows))
    width = 0.8 / len(series)
    for place, value in enumerate(series):
        of_name: Mapping[str, Row] = {
            str(row.axes[layout.x]) if layout.x else "": row for row in _of_series(rows, layout, value)
        }
        at = [number + width * (place + 0.5) - 0.4 for number, name in enumerate(names) if name in of_name]
        means, sds = np.array([_scaled(of_name[name], column) for name in names if name in of_name]).reshape(-1, 2).T
        panel.bar(at, means, width * 0.92, color=look(place)[0], alpha=0.85)
        panel.errorbar(at, means, sds, fmt="none", ecolor="#333333", elinewidth=1.1, capsize=2.5)
    is_slanted = len(names) > MOST_BARS_FLAT or max(map(len, names)) > 10
    how: dict[str, Any] = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if is_slanted else {}
    panel.set_xticks(range(len(names)), [drawn(name) for name in names], fontsize=8, parse_math=False, **how)


def _quiet(panel: Axes) -> None:
    panel.grid(axis="y", color=GRID, linewidth=0.8)
    panel.set_axisbelow(True)
    panel.tick_params(labelsize=8)
    panel.spines[["top", "right"]].set_visible(False)
