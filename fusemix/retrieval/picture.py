"""A picture of sample queries and what they found; linked items have a green frame.

Place in the flow: sample queries with their top items -> one PNG.
"""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from fusemix.files import write_atomic
from fusemix.interfaces import Content, Waveform

RIGHT, WRONG = "#1a8f3c", "#c8c8c8"


class Found(NamedTuple):
    """One gallery item in a result list."""

    content: Content
    score: float
    is_linked: bool


class Example(NamedTuple):
    """One query with the items at its top ranks, best first, and the rank of its first linked item."""

    query: Content
    found: Sequence[Found]
    rank: int


def draw_examples(path: Path, examples: Sequence[Example], title: str) -> None:
    """Draw one row a query: the query, then what it found.

    Args:
        path: of the PNG.
        examples: at least one; all with the same number of found items.
        title: above everything.
    """
    columns = 1 + len(examples[0].found)
    figure = Figure(figsize=(2.1 * columns, 2.0 * len(examples) + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(examples), columns, squeeze=False)
    for row, example in zip(axes, examples, strict=True):
        _show(row[0], example.query, f"query, first hit at rank {example.rank}", "#3465a4")
        for axis, found in zip(row[1:], example.found, strict=True):
            _show(axis, found.content, f"{found.score:.3f}", RIGHT if found.is_linked else WRONG)
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
