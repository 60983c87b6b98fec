"""What happens around the training loop: progress over the whole run, checkpoints.

Place in the flow: Lightning's Trainer -> the terminal and the run folder.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint

from fusemix.progress import console, progress_bar

MONITOR = "validation/mean_recall"
LOG_EVERY_SEC = 10.0
"""How often a line is printed where there is no terminal for a live bar."""


def checkpoints(folder: Path) -> list[Callback]:
    """`best.ckpt` by validation recall, and `last.ckpt` after every epoch."""
    # At the end of the training epoch: saved after validation, inside the epoch, a resumed run would repeat it.
    shared: dict[str, Any] = {"dirpath": folder, "enable_version_counter": False, "save_on_train_epoch_end": True}
    best = ModelCheckpoint(filename="best", monitor=MONITOR, mode="max", **shared)
    last = ModelCheckpoint(filename="last", **shared)
    return [best, last]


def early_stopping(patience: int | None) -> list[Callback]:
    """End the run after some validations in a row without a better one."""
    if patience is None:
        return []
    return [EarlyStopping(MONITOR, mode="max", patience=patience, check_on_train_epoch_end=False)]


def stopped_early(callbacks: Mapping[str, Any]) -> bool:
    """Whether a run ended by `early_stopping`.

    Args:
        callbacks: what a checkpoint holds of them.
    """
    states = [state for name, state in callbacks.items() if name.startswith(EarlyStopping.__name__)]
    return any(state["wait_count"] >= state["patience"] for state in states)


def best_score(trainer: L.Trainer) -> float:
    """The best recall on validation so far, in this run and in the part that it continues."""
    chosen = next(c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint) and c.monitor == MONITOR)
    return float("nan") if chosen.best_model_score is None else float(chosen.best_model_score)


class RunProgress(Callback):
    """One bar over all epochs, with loss, recall, rate and time left."""

    def __init__(self) -> None:
        self._bar = progress_bar()
        self._printed = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the bar."""
        self._task = self._bar.add_task("training", total=trainer.max_epochs, completed=trainer.current_epoch, note="")
        self._bar.start()
        self._printed = time.monotonic()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Advance within the epoch."""
        done = trainer.current_epoch + (batch_idx + 1) / trainer.num_training_batches
        self._bar.update(self._task, completed=done)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Advance by one epoch."""
        figures = trainer.callback_metrics
        loss, recall = figures.get("train/loss"), figures.get(MONITOR)
        note = "" if loss is None or recall is None else f"loss {float(loss):.3f}, mean recall {float(recall):.1%}"
        epoch = trainer.current_epoch + 1
        self._bar.update(self._task, completed=epoch, note=note)
        if not console.is_terminal and time.monotonic() - self._printed > LOG_EVERY_SEC:
            self._printed = time.monotonic()
            console.print(f"epoch {epoch}/{trainer.max_epochs}: {note}")

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Remove the bar."""
        self._bar.stop()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Remove the bar, also when the run breaks off."""
        self._bar.stop()
