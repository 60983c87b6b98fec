"""A picture of sample queries and what they found; linked items have a green frame.

Place in the flow: sample queries with what they found -> one PNG.
"""

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from rich.cells import chop_cells

from fusemix.disk.files import write_atomic
from fusemix.interfaces import Content, Waveform
from fusemix.reports.fonts import Drawable, drawable
from fusemix.reports.page.data import Card

RIGHT, WRONG, ASKED, CURVE = "#1a8f3c", "#c8c8c8", "#3465a4", "#1f77b4"
LINE_WIDTH, MOST_LINES = 22, 8
"""Of texts: columns, where a Chinese character takes two, and lines."""
WIDTH, HEIGHT, TOP = 2.1, 2.0, 0.35
"""Inches of a cell, and of what stands above all."""
INSIDE = (0.08, 0.26, WIDTH - 0.08, HEIGHT - 0.06)
"""Left, top, right and bottom of what is shown in a cell; its caption stands above."""
FRAME = 3.0
"""Points."""
MOST_POINTS = 2000
"""Of a sound's curve."""


class Cell(NamedTuple):
    """What is shown once: a query, or something that was found.

    Attributes:
        content: a picture, a sound or a text.
        caption: above it.
        frame: colour of its frame.
    """

    content: Content
    caption: str
    frame: str


def draw_examples(path: Path, cards: Sequence[Card], title: str) -> str:
    """Draw one row a query: the query, what it found, and, where none of that is right, the first linked item.

    Args:
        path: of the PNG.
        cards: at least one; all with the same number of found items.
        title: above everything.

    Returns:
        One sentence on characters that could not be drawn, or nothing.
    """
    columns = 1 + len(cards[0].found) + any(card.linked for card in cards)
    size = WIDTH * columns, HEIGHT * len(cards) + TOP
    with drawable([title, *_texts(cards)]) as fonts:
        figure = Figure(figsize=size)
        FigureCanvasAgg(figure)
        # One pair of axes for everything, in inches: dozens of them took most of the time of a small evaluation.
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, size[0]), ylim=(size[1], 0), autoscale_on=False)
        axes.set_axis_off()
        axes.text(size[0] / 2, TOP / 2, fonts.text(title), ha="center", va="center", fontsize=12, parse_math=False)
        for row, card in enumerate(cards):
            for column, cell in _cells(card, columns):
                _show(axes, (WIDTH * column, TOP + HEIGHT * row), cell, fonts)
        with write_atomic(path) as file:
            figure.savefig(file, format="png", dpi=110)
    return fonts.told(path.name)


def _texts(cards: Sequence[Card]) -> Iterator[str]:
    for card in cards:
        yield from (item.content for item in card.items if isinstance(item.content, str))


def _cells(card: Card, columns: int) -> Iterator[tuple[int, Cell]]:
    """What stands in the row of a query, and in which columns."""
    yield 0, Cell(card.query.content, f"{card.kind}: first linked at rank {card.rank:,}", ASKED)
    for column, found in enumerate(card.found, start=1):
        yield column, Cell(found.item.content, f"{found.score:.3f}", RIGHT if found.is_linked else WRONG)
    if card.linked:
        yield columns - 1, Cell(card.linked.item.content, f"rank {card.rank:,}: {card.linked.score:.3f}", RIGHT)


def _show(axes: Axes, corner: tuple[float, float], cell: Cell, fonts: Drawable) -> None:
    left, top, right, bottom = (side + corner[place % 2] for place, side in enumerate(INSIDE))
    middle, centre = (left + right) / 2, (top + bottom) / 2
    if isinstance(cell.content, Image.Image):
        width, height = _fitted(cell.content.size, (right - left, bottom - top))
        left, right, top, bottom = middle - width / 2, middle + width / 2, centre - height / 2, centre + height / 2
        pixels = np.asarray(cell.content.convert("RGB"))
        axes.imshow(pixels, extent=(left, right, bottom, top), aspect="auto")
    elif isinstance(cell.content, Waveform):
        shown = cell.content.samples[:: max(1, len(cell.content.samples) // MOST_POINTS)]
        loudest = max(float(np.abs(shown).max(initial=0.0)), 1e-9)
        heights = centre - shown / loudest * (bottom - top) / 2 * 0.9
        axes.plot(np.linspace(left, right, len(shown)), heights, color=CURVE, linewidth=0.5)
        length = f"{len(cell.content.samples) / cell.content.sample_rate:.1f} s"
        axes.text(middle, bottom - 0.05, length, ha="center", va="bottom", fontsize=7)
    else:
        text = "\n".join(map(fonts.text, _lines(str(cell.content))))
        axes.text(middle, centre, text, ha="center", va="center", fontsize=8, parse_math=False)
    frame = Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=cell.frame, linewidth=FRAME)
    axes.add_patch(frame)
    axes.text(middle, top - 0.06, cell.caption, ha="center", va="bottom", fontsize=8)


def _fitted(size: tuple[int, int], room: tuple[float, float]) -> tuple[float, float]:
    """The largest width and height of the same shape that have room."""
    factor = min(room[0] / size[0], room[1] / size[1])
    return size[0] * factor, size[1] * factor


def _lines(text: str) -> list[str]:
    """The beginning of a text, broken between words, and within where a script has no spaces."""
    return [part for line in textwrap.wrap(text, LINE_WIDTH) for part in chop_cells(line, LINE_WIDTH)][:MOST_LINES]
