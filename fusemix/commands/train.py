"""Stage 2: train small adapters on cached latents.

    python train.py configs/train/glyphs.yaml [key=value …]

Reads latent sets; writes config.yaml, environment.json, encoders.json, data.json, metrics.csv, tensorboard/ and
checkpoints/ to <out>. A run that was interrupted goes on when the same command is given again.
"""

import logging
import signal
import time
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any

import lightning as L
import yaml

from fusemix.commands.next_step import after_training, tell
from fusemix.config import TrainConfig, to_plain
from fusemix.disk.discarding import discard, take_place
from fusemix.disk.files import write_json, write_text
from fusemix.disk.out_folder import require_writable
from fusemix.errors import ConfigError, FusemixError
from fusemix.fusion.callbacks import MONITOR, best_score
from fusemix.fusion.checkpoints import BEST, CHECKPOINTS, HUBS, LAST, read_checkpoint
from fusemix.fusion.loggers.elsewhere import begin_logging
from fusemix.fusion.module import FusionModule
from fusemix.fusion.runs import (
    DATA,
    FORMAT,
    RUN,
    SEAL,
    SETTINGS,
    VERSION,
    RunState,
    begin,
    place_for,
    place_of,
    state_beside,
    state_of_run,
)
from fusemix.fusion.saving import Metrics, finish_writing
from fusemix.latents.loader import LatentData
from fusemix.machine.alone import alone_in
from fusemix.machine.environment import describe_environment
from fusemix.machine.parallel import Processes, decided_by_the_first
from fusemix.models.learned import learned_from
from fusemix.models.recipes import ENCODERS_FILE
from fusemix.models.scoring import retrieval_scorer
from fusemix.progress import console, time_text
from fusemix.wiring.training import ending, starts
from fusemix.wiring.training.aligned import leaning, start_temperature, widened
from fusemix.wiring.training.data import latent_data, shared_with_training
from fusemix.wiring.training.near_identity import start_near_identity
from fusemix.wiring.training.pace import fitted, paced
from fusemix.wiring.training.processes import processes_of
from fusemix.wiring.training.recipe import ByRecipe, settled
from fusemix.wiring.training.rehearsal import rehearsed
from fusemix.wiring.training.telling import about_run
from fusemix.wiring.training.train import (
    augmentation_of,
    encoder_recipes,
    fusion_module_of,
    precision_of,
    run_record,
    trainer_of,
)


def main(config: TrainConfig, read: Collection[Path], by_recipe: ByRecipe) -> Path:
    """Train, choosing the best epoch on validation; returns the best checkpoint, which a dry run does not make.

    Args:
        read: files that say so, which no overwriting may take away.
        by_recipe: makes the settings again, over the recipe that `auto` comes to.
    """
    quiet_lightning()
    compute = config.compute
    how: dict[str, Any] = {"wait_sec": config.wait_sec, "devices": compute.devices, "num_nodes": compute.num_nodes}
    processes = processes_of(config)
    if config.dry_run:
        return _rehearse(config, by_recipe, processes)
    with alone_in([Path(config.out)], processes, doing="train", **how):
        return _train(config, by_recipe, processes, read)


def _train(config: TrainConfig, by_recipe: ByRecipe, processes: Processes, read: Collection[Path]) -> Path:
    config = _settled(config, by_recipe, processes)
    out = Path(config.out)
    place = decided_by_the_first(processes, lambda: place_for(out, config.overwrite))
    if place != out:
        _require_not_read(out / SETTINGS, read)
    augmentation = augmentation_of(config)
    data, pace = latent_data(config, augmentation.parts, processes.world_size)
    asked, config = config, widened(paced(config, pace), data)
    record = run_record(config, data)
    state = decided_by_the_first(processes, lambda: _state(config, place, record, pace.max_epochs))
    L.seed_everything(config.seed, verbose=False)
    trainer = trainer_of(config, pace, place, record, state, processes)
    module = fusion_module_of(config, data, record, augmentation, range(state.schedule_from, pace.max_epochs))
    best = out / CHECKPOINTS / BEST
    end = f"{out} is trained already, with these settings on these data; overwrite=true trains it again"
    if not state.is_finished:
        if config.method == "contrastive":
            data.draw_ahead(state.epoch)
        told = _going_on(state) if state.last else _start(module, config, data)
        if trainer.is_global_zero:  # after all that can fail
            _begin(place, config, data, trainer, state, read)
            begin_logging(trainer.loggers, place, to_plain(config))
            about = about_run(config, data, module.model, trainer.world_size, fitted(asked, pace))
            for line in (*about, *told):
                console.print(line)
        fit, began = _solve if config.method == "csa" else _fit, time.monotonic()
        recall = fit(trainer, module, data, place, state.last)
        took = time_text(time.monotonic() - began)
        end = f"trained {out} in {took}: {_best(place, trainer, recall)}, checkpoint {best}"
    if trainer.is_global_zero:
        for line in ending.end(place, config, data, trainer.strategy.root_device):
            console.print(line)
        if place != out:
            take_place(place, out, RUN)
        console.print(end)
        tell(after_training(config.out, [one.train.folder for one in data.training_sets]))
    return best


def _settled(config: TrainConfig, by_recipe: ByRecipe, processes: Processes) -> TrainConfig:
    """The settings, with what they leave to the data; the first process says it."""
    config, told = decided_by_the_first(processes, lambda: settled(config, by_recipe))
    if processes.is_global_zero:
        for line in told:
            console.print(line)
    return config


def _rehearse(config: TrainConfig, by_recipe: ByRecipe, processes: Processes) -> Path:
    """Say what would be trained and how long it takes; nothing is written."""
    out = Path(config.out)
    best = out / CHECKPOINTS / BEST
    if not processes.is_global_zero:
        return best
    config, told = settled(config, by_recipe)
    for path in require_writable(out.resolve()):
        path.rmdir()
    augmentation = augmentation_of(config)
    data, pace = latent_data(config, augmentation.parts, processes.world_size)
    asked, config = config, widened(paced(config, pace), data)
    record = run_record(config, data)
    state = _state(config, place_of(out, config.overwrite), record, pace.max_epochs)
    module = fusion_module_of(config, data, record, augmentation, range(state.schedule_from, pace.max_epochs))
    starts.fit_preprocessing(module.model, data, config.seed)
    told += about_run(config, data, module.model, processes.world_size, fitted(asked, pace))
    told += _going_on(state) if state.last else shared_with_training(data)
    if config.method == "contrastive":
        device = processes.strategy.root_device
        precision = str(precision_of(config, device, state))
        told += rehearsed(module, data, device, precision, pace.max_epochs - state.epoch)
    for line in (*told, f"dry run: nothing was written to {out}"):
        console.print(line)
    return best


def _best(place: Path, trainer: L.Trainer, recall: float) -> str:
    """Which epoch is the best one, as people count them, and its score."""
    score = f"best {MONITOR} {recall:.4f}"
    if not trainer.is_global_zero or not (place / CHECKPOINTS / BEST).is_file():
        return score
    epoch = read_checkpoint(place / CHECKPOINTS / BEST)["epoch"] + 1
    return f"{score} after epoch {epoch} of {trainer.current_epoch}" if trainer.max_epochs else score


def _require_not_read(settings: Path, read: Collection[Path]) -> None:
    if settings.resolve() in read:
        raise ConfigError(
            f"overwrite=true would discard {settings}, which these settings are read from. Copy it elsewhere, and name "
            "that file."
        )


def _state(config: TrainConfig, place: Path, record: dict[str, Any], max_epochs: int) -> RunState:
    max_epochs = 1 if config.method == "csa" else max_epochs
    if place != Path(config.out):
        return state_beside(place, record, max_epochs=max_epochs)
    return state_of_run(place, record, max_epochs=max_epochs, resume=config.resume)


def _begin(
    place: Path, config: TrainConfig, data: LatentData, trainer: L.Trainer, state: RunState, read: Collection[Path]
) -> None:
    """Make the folder of the run, and say in it whose it is."""
    if state.last is None and place != Path(config.out):
        discard(place, RUN)  # another run that was to replace what is there, and did not end
    begin(place)
    (place / HUBS).unlink(missing_ok=True)  # of an epoch that may not stay the best one
    environment = describe_environment(str(trainer.strategy.root_device))
    write_json(place / SEAL, {"format": FORMAT, "version": VERSION, **environment})
    if (place / SETTINGS).resolve() not in read:
        write_text(place / SETTINGS, yaml.safe_dump(to_plain(config), sort_keys=False, allow_unicode=True))
    write_json(place / ENCODERS_FILE, encoder_recipes(data))
    write_json(place / DATA, learned_from(config, data, place))


def _going_on(state: RunState) -> list[str]:
    told = [f"going on from {state.last}"]
    if state.is_longer:
        told.append(
            f"it is trained, and is given more epochs after its {state.epoch:,}: with a new schedule, from its weights "
            "and its optimiser"
        )
    if state.is_best_lost:
        told.append(f"{BEST} is missing or damaged: the best of the epochs from here on takes its place")
    return told


def _start(module: FusionModule, config: TrainConfig, data: LatentData) -> list[str]:
    """Give the model what it starts from; returns what there is to tell of it."""
    told = shared_with_training(data)
    starts.fit_preprocessing(module.model, data, config.seed)
    if config.init_from:
        shared = starts.start_from_run(module.model, module.loss, config, data)
        return [*told, f"weights of {', '.join(shared)} are those of {config.init_from}"]
    first = data.training_sets[0]
    scorer = retrieval_scorer(first.gallery, first.modalities)
    assert scorer is not None, "the first set always has something to choose on"
    if leaning(module.model):
        told.append(start_near_identity(module.model, config, first, scorer))
    if config.temperature == "auto" and config.method == "contrastive":
        found = start_temperature(module.model, first, config.seed)
        told.append(f"temperature {found:.4f}, by a batch of training pairs")
    if config.method == "csa" or config.warm_start or config.closed_form.share:
        told += starts.start_from_closed_form(module.model, config, data, scorer)
    return told


def _fit(trainer: L.Trainer, module: FusionModule, data: LatentData, place: Path, last: Path | None) -> float:
    try:
        trainer.fit(module, data, ckpt_path=last, weights_only=True)
    except Exception as error:
        end_others = getattr(trainer.strategy.launcher, "kill", None)  # of those that this process has started
        if end_others and not isinstance(error, FusemixError):  # with that all end on their own
            end_others(signal.SIGKILL)  # they may be waiting for this one, for ever
        raise
    for logger in trainer.loggers:
        if isinstance(logger, Metrics) and logger.problem:
            console.print(logger.problem)
    return best_score(trainer)


def _solve(trainer: L.Trainer, module: FusionModule, data: LatentData, place: Path, last: Path | None) -> float:
    """Nothing is left to train: measure, and write the checkpoints that a run has."""
    figures = trainer.validate(module, data, verbose=False)
    for name in (BEST, LAST):
        trainer.save_checkpoint(place / CHECKPOINTS / name)
    finish_writing(trainer)
    return float(figures[0][MONITOR])


def quiet_lightning() -> None:
    """Leave out what Lightning says about choices that are made on purpose."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Latents are gathered whole, in this process, on purpose; and an epoch knows its length.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*`IterableDataset` has `__len__` defined.*")
    # Validation may be rarer than epochs.
    warnings.filterwarnings("ignore", message=".*could not find the monitored key.*")
    # Figures are logged once an epoch.
    warnings.filterwarnings("ignore", message=".*smaller than the logging interval.*")
    # The run folder holds config.yaml before the loggers look at it.
    warnings.filterwarnings("ignore", message=".*directory.* exists and is not empty.*")
    # Lightning 2.6.6 asks torch's pytree in a way that torch 2.15 calls old.
    warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated.*")
