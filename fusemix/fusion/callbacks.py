"""What happens around the training loop: progress over the whole run, checkpoints, processes that stay together.

Place in the flow: Lightning's Trainer -> the terminal and the run folder.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from torch.optim.lr_scheduler import LambdaLR

from fusemix.errors import RunError
from fusemix.fusion.checkpoints import read_checkpoint
from fusemix.fusion.gathering import num_processes, stop_together, take_from_first
from fusemix.machine.parallel import gathered
from fusemix.progress import LineTimes, console, progress_bar, rate_text, time_text

MONITOR = "validation/mean_recall"
ZERO_SHOT = "validation/zero_shot"
"""Mean recall of latents alone, where they share a space already."""
LOOK_SEC = 1.0
"""How often the loss of a step is looked at for the bar."""


def checkpoints(folder: Path) -> list[Callback]:
    """`best.ckpt` by validation recall, and `last.ckpt` of every epoch; when they are written: see `snapshots`."""
    # At the end of the training epoch: saved after validation, inside the epoch, a resumed run would repeat it.
    shared: dict[str, Any] = {"dirpath": folder, "enable_version_counter": False, "save_on_train_epoch_end": True}
    best = RunCheckpoint(filename="best", monitor=MONITOR, mode="max", **shared)
    last = RunCheckpoint(filename="last", **shared)
    return [best, last]


class RunCheckpoint(ModelCheckpoint):
    """Lightning's, for a run folder that may have been moved, copied, or called by another name.

    Lightning remembers absolute paths, and forgets the best score where they have changed.
    """

    @property
    def state_key(self) -> str:
        """That of the class it is made of, under which checkpoints hold its state."""
        return super().state_key.replace(type(self).__qualname__, ModelCheckpoint.__qualname__, 1)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what is known of the checkpoints, as files of this folder; without its file no score counts."""
        assert self.dirpath is not None, "checkpoints() gives it"
        folder = Path(self.dirpath)

        def here(path: str) -> str:
            return str(folder / Path(path).name) if path else ""

        try:
            read_checkpoint(Path(here(state_dict["best_model_path"])))
        except RunError:
            return
        paths = ("best_model_path", "kth_best_model_path", "last_model_path")
        super().load_state_dict(
            {
                **state_dict,
                **{key: here(state_dict[key]) for key in paths},
                "dirpath": self.dirpath,
                "best_k_models": {here(path): score for path, score in state_dict["best_k_models"].items()},
            }
        )


class Together(Callback):
    """Processes that share a batch: the same run, the same choices, the same batches in each, or none goes on.

    Args:
        decided: what a process has decided or found on its own, for people to read, by name.
    """

    def __init__(self, decided: Mapping[str, str]) -> None:
        self._decided = dict(decided)

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Compare what was decided.

        Raises:
            RunError: it differs.
        """
        stop_together(differing(gathered(self._decided)))

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take over statistics of preprocessing, whose last bits machines may differ in; DDP does so for weights."""
        take_from_first(pl_module.buffers())

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Compare the first batch of the epoch.

        Raises:
            RunError: it differs.
        """
        if num_processes() > 1:
            first = trainer.datamodule.first_batch  # pyright: ignore[reportAttributeAccessIssue]: a LatentData
            stop_together(differing(gathered({f"first batch of epoch {trainer.current_epoch}": first[:16]})))

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Average figures over processes, which happens when a process first asks for them: in all at once."""
        _ = trainer.callback_metrics


def differing(found: Sequence[Mapping[str, str]]) -> str | None:
    """What processes differ in from the first one, in a message; None where they agree.

    Args:
        found: by each process, in order of ranks.
    """
    lines = []
    for name in found[0]:
        others = [str(rank) for rank, one in enumerate(found) if one[name] != found[0][name]]
        if others:
            values = " and ".join(dict.fromkeys(str(one[name]) for one in found))
            lines.append(f"{name}: process {', '.join(others)} has another than process 0 ({values})")
    if not lines:
        return None
    return (
        "processes that share each batch must do the same, and they differ:\n  " + "\n  ".join(lines) + "\n"
        "Start all with one command, one version of fusemix and the same latents, on a file system that all see; where "
        "machines differ, say what auto would choose, such as precision=32-true."
    )


class NewSchedule(Callback):
    """More epochs for a run that is trained: rates begin again, over the weights and the optimiser that it has."""

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Leave out of the checkpoint what the old schedule had come to, and how long it waited for a better one."""
        for state in checkpoint["lr_schedulers"]:
            state["lr_lambdas"] = [None] * len(state["lr_lambdas"])
            del state["base_lrs"]
        waited = {
            name: checkpoint["callbacks"].pop(name) for name in [*checkpoint["callbacks"]] if _is_early_stopping(name)
        }
        for callback in trainer.early_stopping_callbacks:
            assert isinstance(callback, EarlyStopping), "that is what it lists"
            if callback.state_key in waited:
                again = {"wait_count": 0, "stopped_epoch": 0, "patience": callback.patience}
                checkpoint["callbacks"][callback.state_key] = {**waited[callback.state_key], **again}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take the first step at the rate of the new schedule."""
        for configured in trainer.lr_scheduler_configs:
            scheduler = configured.scheduler
            assert isinstance(scheduler, LambdaLR), "the module makes no other"
            for group, peak, factor in zip(
                scheduler.optimizer.param_groups, scheduler.base_lrs, scheduler.lr_lambdas, strict=True
            ):
                group["lr"] = peak * factor(scheduler.last_epoch)


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
    states = [state for name, state in callbacks.items() if _is_early_stopping(name)]
    return any(state["wait_count"] >= state["patience"] for state in states)


def _is_early_stopping(name: str) -> bool:
    return name.startswith(EarlyStopping.__name__)


def knows_a_best(callbacks: Mapping[str, Any]) -> bool:
    """Whether a best checkpoint was saved before; see `stopped_early`."""
    return any(state.get("best_model_path") for state in callbacks.values() if state.get("monitor") == MONITOR)


def best_score(trainer: L.Trainer) -> float:
    """The best recall on validation so far, in this run and in the part that it continues."""
    chosen = next(c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint) and c.monitor == MONITOR)
    return float("nan") if chosen.best_model_score is None else float(chosen.best_model_score)


class RunProgress(Callback):
    """One bar over all epochs, with loss, recall, rate and time left; without a terminal, now and then a line."""

    def __init__(self) -> None:
        self._bar, self._times = progress_bar(), LineTimes()
        self._loss, self._recall, self._looked = "", "", 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the bar."""
        begun = {"total": trainer.max_epochs, "completed": trainer.current_epoch}
        self._task = self._bar.add_task("epoch", **begun, note="", thing="epoch")
        self._bar.start()
        self._started, self._first = time.monotonic(), trainer.current_epoch

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Advance within the epoch."""
        done = trainer.current_epoch + (batch_idx + 1) / trainer.num_training_batches
        if time.monotonic() - self._looked > LOOK_SEC:  # reading the loss waits for the device
            self._looked = time.monotonic()
            loss = outputs["loss"] if isinstance(outputs, Mapping) else outputs
            self._loss = "" if loss is None else f"loss {float(loss):.3f}"
        self._show(trainer, done)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Advance by one epoch, and take over its figures."""
        figures = trainer.callback_metrics
        loss, recall, alone = figures.get("train/loss"), figures.get(MONITOR), figures.get(ZERO_SHOT)
        if loss is not None:
            self._loss = f"loss {float(loss):.3f}"
        if recall is not None:
            beside = "" if alone is None else f" (zero-shot {float(alone):.1%})"
            self._recall = f", mean recall {float(recall):.1%}{beside}"
        self._show(trainer, trainer.current_epoch + 1.0)

    def _show(self, trainer: L.Trainer, done: float) -> None:
        note = f"{self._loss}{self._recall}"
        self._bar.update(self._task, completed=int(done * 100) / 100, note=note)
        if trainer.is_global_zero and self._times.is_due():
            passed, total = time.monotonic() - self._started, trainer.max_epochs or 0
            rate = (done - self._first) / max(passed, 1e-9)
            steps = rate_text(rate * float(trainer.num_training_batches), "step")
            times = f"{time_text(passed)} elapsed, {time_text((total - done) / rate)} left"
            console.print(f"epoch {int(done)}/{total}: {note}; {rate_text(rate, 'epoch')}, {steps}, {times}")

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Remove the bar."""
        self._bar.stop()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Remove the bar, also when the run breaks off."""
        self._bar.stop()
