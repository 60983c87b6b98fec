"""Where everything in a figure stands, found once, and files of it.

Place in the flow: a figure with everything in it -> the same, ready to be saved -> files.
"""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from fusemix.disk.files import write_atomic

DPI = 130
"""Of pictures that are files of their own."""


def save_figure(figure: Figure, paths: Sequence[Path]) -> None:
    """Write a figure, in the format of each path's suffix; equal figures give equal bytes."""
    figure.set_dpi(DPI)
    lay_out(figure)
    for path in paths:
        kind = path.suffix.removeprefix(".")
        # Without a date, and with a fixed salt for ids.
        with mpl.rc_context({"svg.hashsalt": "fusemix"}), write_atomic(path) as file:
            figure.savefig(file, format=kind, dpi=DPI, metadata={"Date": None} if kind == "svg" else None)


def lay_out(figure: Figure) -> None:
    """Give everything in a figure its place, for all files that it is saved to.

    Saving a figure whose layout is constrained would find the places for each file, and draw everything twice.

    Args:
        figure: with all that it shows; in pixels it is as large as its own `dpi` makes it, by which text is measured.
    """
    if engine := figure.get_layout_engine():
        engine.execute(figure)
    figure.set_layout_engine(None)
