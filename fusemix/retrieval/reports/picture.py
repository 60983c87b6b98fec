"""A picture of sample queries and what they found; linked items have a green frame.

Place in the flow: sample queries with what they found -> one PNG.
"""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from fusemix.files import write_atomic
from fusemix.interfaces import Content, Waveform
from fusemix.retrieval.reports.page.data import Card

RIGHT, WRONG = "#1a8f3c", "#c8c8c8"


def draw_examples(path: Path, cards: Sequence[Card], title: str) -> None:
    """Draw one row a query: the query, then what it found.

    Args:
        path: of the PNG.
        cards: at least one; all with the same number of found items.
        title: above everything.
    """
    columns = 1 + len(cards[0].found)
    figure = Figure(figsize=(2.1 * columns, 2.0 * len(cards) + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(cards), columns, squeeze=False)
    for row, card in zip(axes, cards, strict=True):
        _show(row[0], card.query.content, f"{card.kind}: first hit at rank {card.rank:,}", "#3465a4")
        for axis, found in zip(row[1:], card.found, strict=True):
            _show(axis, found.item.content, f"{found.score:.3f}", RIGHT if found.is_linked else WRONG)
    figure.suptitle(title)
    with write_atomic(path) as file:
        figure.savefig(file, format="png", dpi=110)


def _show(axis: Any, content: Content, caption: str, frame: str) -> None:
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
        text = "\n".join(textwrap.wrap(str(content), 22)[:8])
        axis.text(0.5, 0.5, text, ha="center", va="center", fontsize=8, parse_math=False, transform=axis.transAxes)
