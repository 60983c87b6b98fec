"""A picture of sample queries and what they found; linked items have a green frame.

Place in the flow: sample queries with what they found -> one PNG.
"""

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from rich.cells import chop_cells

from fusemix.disk.files import write_atomic
from fusemix.interfaces import Content, Waveform
from fusemix.reports.fonts import Drawable, drawable
from fusemix.reports.layout import lay_out
from fusemix.reports.page.data import Card

RIGHT, WRONG, ASKED = "#1a8f3c", "#c8c8c8", "#3465a4"
DPI = 110
LINE_WIDTH, MOST_LINES = 22, 8
"""Of texts: columns, where a Chinese character takes two, and lines."""


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
    with drawable([title, *_texts(cards)]) as fonts:
        figure = Figure(figsize=(2.1 * columns, 2.0 * len(cards) + 0.6), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        for row, card in zip(figure.subplots(len(cards), columns, squeeze=False).tolist(), cards, strict=True):
            _draw_row(row, card, fonts)
        figure.suptitle(fonts.text(title), parse_math=False)
        lay_out(figure)
        with write_atomic(path) as file:
            figure.savefig(file, format="png")
    return fonts.told(path.name)


def _texts(cards: Sequence[Card]) -> Iterator[str]:
    for card in cards:
        yield from (item.content for item in card.items if isinstance(item.content, str))


def _draw_row(row: Sequence[Any], card: Card, fonts: Drawable) -> None:
    _show(row[0], card.query.content, f"{card.kind}: first linked at rank {card.rank:,}", ASKED, fonts)
    for axis, found in zip(row[1:], card.found, strict=False):
        _show(axis, found.item.content, f"{found.score:.3f}", RIGHT if found.is_linked else WRONG, fonts)
    if card.linked:
        _show(row[-1], card.linked.item.content, f"rank {card.rank:,}: {card.linked.score:.3f}", RIGHT, fonts)
    elif len(row) > 1 + len(card.found):
        row[-1].set_axis_off()


def _show(axis: Any, content: Content, caption: str, frame: str, fonts: Drawable) -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_title(caption, fontsize=8)
    for spine in axis.spines.values():
        spine.set(color=frame, linewidth=3)
    if isinstance(content, Image.Image):
        axis.imshow(np.asarray(content.convert("RGB")))
    elif isinstance(content, Waveform):
        axis.plot(content.samples[:: max(1, len(content.samples) // 2000)], linewidth=0.5)
        axis.set_xlabel(f"{len(content.samples) / content.sample_rate:.1f} s", fontsize=7)
    else:
        text = "\n".join(map(fonts.text, _lines(str(content))))
        axis.text(0.5, 0.5, text, ha="center", va="center", fontsize=8, parse_math=False, transform=axis.transAxes)


def _lines(text: str) -> list[str]:
    """The beginning of a text, broken between words, and within where a script has no spaces."""
    return [part for line in textwrap.wrap(text, LINE_WIDTH) for part in chop_cells(line, LINE_WIDTH)][:MOST_LINES]
