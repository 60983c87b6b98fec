"""Many pictures on one sheet, each with what it was drawn from.

Place in the flow: files of pictures, captions -> one PNG.
"""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from fusemix.disk.files import write_atomic
from fusemix.media import fitted
from fusemix.reports.fonts import drawable
from fusemix.reports.layout import lay_out

COLUMNS, SIDE, DPI = 8, 240, 100
"""Most columns, and the longest side of a picture there, in pixels."""
MOST = 200
"""Pictures on a sheet, at most."""
LONGEST = 34
"""Characters of a line of a caption."""


def draw_sheet(path: Path, pictures: Sequence[Path], captions: Sequence[str], columns: int) -> str:
    """Draw the first pictures, row by row.

    Args:
        path: of the PNG.
        pictures: files, at least one.
        captions: of as many, a line or several.
        columns: pictures in a row; no more than fit.

    Returns:
        One sentence on characters that could not be drawn, or nothing.
    """
    shown, columns = list(zip(pictures, captions, strict=True))[:MOST], min(columns, COLUMNS)
    rows = -(-len(shown) // columns)
    with drawable(captions) as fonts:
        size = (columns * SIDE / DPI, rows * (SIDE + 50) / DPI)
        figure = Figure(figsize=size, dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, columns, squeeze=False).flatten().tolist()
        for axis in axes:
            axis.axis("off")
        for axis, (file, caption) in zip(axes, shown, strict=False):
            _show(axis, file, fonts.text("\n".join(map(_short, caption.split("\n")))))
        lay_out(figure)
        with write_atomic(path) as out:
            figure.savefig(out, format="png")
    return fonts.told(path.name)


def _show(axis: Axes, file: Path, caption: str) -> None:
    with Image.open(file) as picture:
        axis.imshow(fitted(picture, SIDE))
    axis.set_title(caption, fontsize=8, parse_math=False)


def _short(line: str) -> str:
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
