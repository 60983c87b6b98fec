"""The course of a training run, drawn: recall on validation and loss, epoch by epoch.

Place in the flow: metrics.csv of a run -> History -> inline SVG for a notebook.
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from fusemix.errors import RunError
from fusemix.reports.page.charts import COLOURS, QUIET
from fusemix.reports.page.svg import inline_svg, svg_settings

RECALL, LOSS = "validation/mean_recall", "train/loss"
SIZE = (4.8, 2.4)


def read_history(file: Path) -> dict[str, list[float | None]]:
    """Figures of each epoch: name -> values, in the order of `epoch`; None where an epoch has none.

    Args:
        file: metrics.csv of a run.

    Raises:
        RunError: it is not there, or holds something else.
    """
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines))
        epochs = sorted({int(row["epoch"]) for row in rows if row["epoch"]})
        names = [name for name in (rows[0] if rows else {}) if name != "epoch"]
        found: dict[str, list[float | None]] = {name: [None] * len(epochs) for name in names}
        place = {epoch: number for number, epoch in enumerate(epochs)}
        for row in rows:
            for name in names:
                if row[name]:
                    found[name][place[int(row["epoch"])]] = float(row[name])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{file} is not what a run writes: {error}. The checkpoints need no such file.") from error
    return {"epoch": [float(epoch) for epoch in epochs], **found}


def history_chart(history: Mapping[str, Sequence[float | None]]) -> str:
    """Recall and loss by epoch as inline SVG; empty where there is nothing to draw."""
    drawn = [name for name in (RECALL, LOSS) if any(value is not None for value in history.get(name, ()))]
    if not drawn:
        return ""
    with svg_settings("history"):
        figure = Figure(figsize=(SIZE[0] * len(drawn), SIZE[1]), layout="constrained")
        for axes, name, colour in zip(figure.subplots(1, len(drawn), squeeze=False)[0], drawn, COLOURS, strict=False):
            points = [(e, v) for e, v in zip(history["epoch"], history[name], strict=True) if v is not None]
            axes.plot([epoch for epoch, _ in points], [value for _, value in points], color=colour, marker=".")
            axes.set(xlabel="epoch", title=name)
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(True, color=QUIET, alpha=0.25, linewidth=0.7)
        best = max((value for value in history.get(RECALL, ()) if value is not None), default=None)
        about = f"{len(history['epoch'])} epochs" + ("" if best is None else f", best mean recall {best:.1%}")
        return f'<div style="max-width:{96 * SIZE[0] * len(drawn):.0f}px">{inline_svg(figure, "history", about)}</div>'
