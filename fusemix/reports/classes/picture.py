"""A picture of how well each class is recognised.

Place in the flow: figures of classes -> one PNG.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fusemix.disk.files import write_atomic
from fusemix.reports.fonts import drawable
from fusemix.reports.layout import lay_out

ENDS = 25
"""Classes shown at either end, where there are more than twice as many."""
BAR, MEAN = "#3465a4", "#c0392b"
LONGEST_NAME = 32
DPI = 110


def draw_classes(
    path: Path,
    words: Sequence[str],
    accuracy: Float64[np.ndarray, " classes"],
    num_items: Int64[np.ndarray, " classes"],
    title: str,
) -> str:
    """Draw a bar a class, best above; of many classes the best and the worst ones.

    Args:
        path: of the PNG.
        words: names of the classes.
        accuracy: fractions; NaN for classes without items, which are left out.
        num_items: of each class.
        title: above everything.

    Returns:
        One sentence on characters that could not be drawn, or nothing.
    """
    order = np.argsort(-np.nan_to_num(accuracy, nan=-1.0), kind="stable")
    order = order[~np.isnan(accuracy[order])]
    parts = [order] if len(order) <= 2 * ENDS else [order[:ENDS], order[-ENDS:]]
    titles = ["all classes"] if len(parts) == 1 else [f"the {ENDS} best", f"the {ENDS} worst"]
    mean = float(accuracy[order].mean())
    with drawable([title, *words]) as fonts:
        figure = Figure(figsize=(5.5 * len(parts), 0.22 * max(map(len, parts)) + 1.2), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        for axis, rows, name in zip(figure.subplots(1, len(parts), squeeze=False)[0], parts, titles, strict=True):
            labels = [f"{fonts.text(_short(words[int(row)]))} ({num_items[row]:,})" for row in rows]
            _draw_bars(axis, labels, accuracy[rows])
            axis.axvline(100 * mean, color=MEAN, linewidth=1, label=f"mean of classes: {100 * mean:.1f} %")
            axis.set_title(name)
        figure.axes[-1].legend(loc="lower right", fontsize=8)
        figure.suptitle(fonts.text(title), parse_math=False)
        lay_out(figure)
        with write_atomic(path) as file:
            figure.savefig(file, format="png")
    return fonts.told(path.name)


def _draw_bars(axis: Axes, labels: Sequence[str], accuracy: Float64[np.ndarray, " rows"]) -> None:
    axis.barh(np.arange(len(labels)), 100 * accuracy, color=BAR, height=0.7)
    axis.set_yticks(np.arange(len(labels)), labels, fontsize=8, parse_math=False)
    axis.set(xlim=(0, 100), ylim=(len(labels) - 0.4, -0.6), xlabel="top-1 accuracy in %")
    axis.spines[["top", "right"]].set_visible(False)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 1]}…"
