"""A training run, as Python and notebooks see it.

Place in the flow: run folder of train -> Run: its best checkpoint, its history, its model.
"""

from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

from fusemix.api.showing import frame
from fusemix.errors import RunError
from fusemix.fusion.checkpoints import BEST, CHECKPOINTS
from fusemix.models.model import Model, load
from fusemix.reports.history import RECALL, history_chart, read_history

METRICS = "metrics.csv"


class Run:
    """A run folder. In the examples, `run` is one.

    Args:
        folder: of the run.

    Attributes:
        folder: as given.

    >>> Run(run.folder).checkpoint.name
    'best.ckpt'
    >>> "train/loss" in run.metrics
    True
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    @property
    def checkpoint(self) -> Path:
        """The best one on validation."""
        return self.folder / CHECKPOINTS / BEST

    @cached_property
    def metrics(self) -> dict[str, list[float | None]]:
        """The history: name of a figure -> its value in each epoch, None where an epoch has none.

        `epoch` numbers them from 0; recalls are fractions in [0, 1].

        Raises:
            RunError: metrics.csv is not there, or damaged.
        """
        return read_history(self.folder / METRICS)

    @property
    def best(self) -> dict[str, float]:
        """The figures of the best epoch, by its mean recall on validation; the run may have kept its last one instead.

        Raises:
            RunError: as `metrics`.
        """
        recalls = [-1.0 if value is None else value for value in self.metrics.get(RECALL, [])]
        if not recalls:
            return {}
        place = recalls.index(max(recalls))
        return {name: found for name, values in self.metrics.items() if (found := values[place]) is not None}

    def to_pandas(self) -> Any:
        """The history as a DataFrame, a row an epoch.

        Raises:
            ConfigError: pandas is not installed.
            RunError: as `metrics`.
        """
        return frame(self.metrics, index="epoch")

    def load(self, **how: Any) -> Model:
        """The trained model; arguments are those of `fusemix.load`.

        Raises:
            FusemixError: as `fusemix.load`.
        """
        return load(self.folder, **how)

    @cached_property
    def model(self) -> Model:
        """The trained model, loaded once, on a GPU where there is one."""
        return self.load()

    def __repr__(self) -> str:
        try:
            best, epochs = self.best, len(self.metrics["epoch"])
        except RunError:  # of a dry run, and of one that was logged elsewhere, there is no history
            return f"fusemix.Run({str(self.folder)!r})"
        at = f", best mean recall {best[RECALL]:.1%} after epoch {best['epoch'] + 1:.0f}" if RECALL in best else ""
        return f"fusemix.Run({str(self.folder)!r}: {epochs:,} epochs{at})"

    def _repr_html_(self) -> str:
        about = f"<p><code>{escape(repr(self))}</code></p>"
        try:
            return about + history_chart(self.metrics)
        except RunError:
            return about
