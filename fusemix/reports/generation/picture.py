"""A sheet of generated pictures: those that agree least and most, and those nearest to a real one, with that one.

Place in the flow: rows of pictures with captions -> one PNG.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from fusemix.disk.files import write_atomic
from fusemix.media import fitted
from fusemix.reports.fonts import Drawable, drawable

COLUMNS = 6
SIDE, CAPTION, HEAD, GAP = 190, 34, 30, 8
"""Pixels: longest side of a picture, height of what stands above one, of the name of a row, and between two."""
DPI, FRAME = 100, "#c8c8c8"
LONGEST = 30
"""Characters of a line of a caption."""


class Shown(NamedTuple):
    """A picture; None where it cannot be read any more."""

    picture: Image.Image | None
    caption: str


class Row(NamedTuple):
    """Pictures beside one another; a row without a name belongs to the one above."""

    name: str
    shown: Sequence[Shown]


def draw_sheet(path: Path, rows: Sequence[Row]) -> str:
    """Draw rows of at most COLUMNS pictures.

    Args:
        path: of the PNG.
        rows: one at least.

    Returns:
        One sentence on characters that could not be drawn, or nothing.
    """
    heights = [SIDE + CAPTION + GAP + (HEAD if row.name else 0) for row in rows]
    size = GAP + COLUMNS * (SIDE + GAP), GAP + sum(heights)
    texts = [row.name for row in rows] + [one.caption for row in rows for one in row.shown]
    with drawable(texts) as fonts:
        figure = Figure(figsize=(size[0] / DPI, size[1] / DPI), dpi=DPI)
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, size[0]), ylim=(size[1], 0), autoscale_on=False)
        axes.set_axis_off()
        top = GAP
        for row, height in zip(rows, heights, strict=True):
            if row.name:
                axes.text(GAP, top + HEAD / 2, fonts.text(row.name), va="center", fontsize=11, parse_math=False)
            for column, one in enumerate(row.shown[:COLUMNS]):
                _show(axes, (GAP + column * (SIDE + GAP), top + height - SIDE - GAP), one, fonts)
            top += height
        with write_atomic(path) as file:
            figure.savefig(file, format="png")
    return fonts.told(path.name)


def _show(axes: Axes, corner: tuple[int, int], one: Shown, fonts: Drawable) -> None:
    left, top = corner
    caption = "\n".join(line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…" for line in one.caption.split("\n"))
    axes.text(left, top - 3, fonts.text(caption), va="bottom", fontsize=7, parse_math=False)
    if one.picture is None:
        axes.text(left + SIDE / 2, top + SIDE / 2, "cannot be read", ha="center", va="center", fontsize=7)
        return
    picture = fitted(one.picture, SIDE)
    width, height = (side * SIDE / max(picture.size) for side in picture.size)
    axes.imshow(picture, extent=(left, left + width, top + height, top), aspect="auto")
    axes.add_patch(Rectangle((left, top), width, height, fill=False, edgecolor=FRAME, linewidth=0.8))
