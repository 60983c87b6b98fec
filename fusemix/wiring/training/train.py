"""Stage 2, wired: latents, model, loss, schedule and Lightning's Trainer.

Place in the flow: TrainConfig -> LatentData, FusionModule, Trainer.
"""

from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch

from fusemix.config import SetConfig, StructureConfig, TrainConfig, to_plain
from fusemix.disk.files import sha256_of_file, sha256_of_json
from fusemix.errors import ConfigError, first_line
from fusemix.fusion.callbacks import NewSchedule, RunProgress, Together, checkpoints, early_stopping
from fusemix.fusion.checkpoints import CHECKPOINTS, VERSION, checkpoint_of, model_of
from fusemix.fusion.losses import LOSSES
from fusemix.fusion.mixup import MIXUPS
from fusemix.fusion.mixup.variants import Augmentation
from fusemix.fusion.model import FusionModel
from fusemix.fusion.module import FusionModule, Pairing, Structure
from fusemix.fusion.optimizers import OPTIMIZERS
from fusemix.fusion.runs import MAY_CHANGE, RunState
from fusemix.fusion.saving import SavedTogether, WholeCheckpoints, WrittenToTheEnd
from fusemix.fusion.schedule import Schedule
from fusemix.latents.galleries import MOST_CHOSEN_AMONG
from fusemix.latents.loader import LatentData
from fusemix.latents.sets import LatentSet
from fusemix.latents.training_sets import TrainingSet
from fusemix.machine.environment import installed, multiplies_bfloat16, multiply_float32
from fusemix.machine.parallel import Processes
from fusemix.models.scoring import retrieval_scorer
from fusemix.wiring.training.aligned import fixed_side, is_aligned
from fusemix.wiring.training.data import sides_by_modality
from fusemix.wiring.training.loggers import loggers_of
from fusemix.wiring.training.pace import Pace
from fusemix.wiring.training.processes import available_here, devices_of
from fusemix.wiring.training.step import TrainingStep
from fusemix.wiring.training.unpaired import unpaired_record

WHOLE = ("32-true", "32", "64-true", "64")
"""Precisions, as Lightning names them, in which float32 means float32."""


def augmentation_of(config: TrainConfig) -> Augmentation:
    """What is done to latents in training."""
    made = MIXUPS.build(config.mixup.name, config.mixup.options)
    if not isinstance(made, Augmentation):
        raise ConfigError(f"mixup {config.mixup.name!r} gave {type(made).__name__}, where an Augmentation is due.")
    return made


def run_record(config: TrainConfig, data: LatentData) -> dict[str, Any]:
    """What a run says about itself in its checkpoints, as plain data.

    Enough to build the model again, to know its data and encoders, and to tell two runs apart.
    """
    sides = sides_by_modality(data)
    first, *more = data.training_sets
    init_from = checkpoint_of(Path(config.init_from)) if config.init_from else None
    return {
        "version": VERSION,
        "config": _settings(config),
        "dims": {modality: side.dims for modality, side in sides.items()},
        "encoders": {modality: side.fingerprints for modality, side in sides.items()},
        "accepted": {m: [[list(one) for one in of] for of in side.accepted] for m, side in sides.items()},
        "train": _data_record(first.train),
        "validation": _chosen_on(first),
        "also": {one.name: _further(config.also[one.name], one) for one in more},
        "init_from": sha256_of_file(init_from) if init_from and init_from.is_file() else None,
        **unpaired_record(data.unpaired),
    }


def _further(about: SetConfig, training_set: TrainingSet) -> dict[str, Any]:
    """What a run says about a further set; of its batch where that is its own, since runs of before had none."""
    return {
        "train": _data_record(training_set.train),
        "validation": _chosen_on(training_set) if training_set.gallery else None,
        "weight": about.weight,
        "holdout": about.holdout,
        **({} if about.batch_size == "auto" else {"batch_size": about.batch_size}),
    }


def _settings(config: TrainConfig) -> dict[str, Any]:
    settings = {key: value for key, value in to_plain(config).items() if key not in MAY_CHANGE}
    del settings["optim"]["auto"]  # what it came to stands beside it
    if config.structure.form == StructureConfig().form:
        del settings["structure"]["form"]  # runs of before had no other
    if not config.regression.weight:
        del settings["regression"]  # runs of before had none
    return settings


def encoder_recipes(data: LatentData) -> dict[str, list[dict[str, Any]]]:
    """Modality -> for each encoder, in order, the name of its latent store and what builds it again, or None."""
    return {
        modality: [{"store": store.manifest.encoder, "source": store.manifest.source} for store in side.stores]
        for modality, side in sides_by_modality(data).items()
    }


def _data_record(latent_set: LatentSet) -> dict[str, Any]:
    about = latent_set.description
    hashes = {side: about[side]["sha256"] for side in ("left", "right")}
    return {"name": latent_set.name, "num_links": len(latent_set.links), "links": about["links_sha256"], **hashes}


def _chosen_on(training_set: TrainingSet) -> dict[str, Any]:
    among = {"chosen_among": MOST_CHOSEN_AMONG} if training_set.is_sampled else {}
    return {**_data_record(training_set.validation), **among}


def fusion_module_of(
    config: TrainConfig, data: LatentData, record: dict[str, Any], augmented: Augmentation, epochs: range
) -> FusionModule:
    """Model, loss, optimiser and scorers, ready to be fitted; the latents are told what room a step needs.

    Args:
        data: its sets.
        record: see `run_record`.
        augmented: what is done to latents.
        epochs: that its schedule spans.
    """
    optim, structure = config.optim, config.structure
    model = _model(record)
    if config.compile:
        for adapter in model.adapters.values():
            adapter.compile()
    data.step = TrainingStep(config, data, model, augmented.parts)
    return FusionModule(
        model=model,
        loss=_loss(config),
        pairings=[_pairing(config, training_set) for training_set in data.training_sets],
        augmentation=augmented,
        optimizer=partial(optimizer_of, config),
        clip_norm=optim.clip_norm,
        structure=Structure(structure.weight, structure.temperature, structure.warmup_steps, structure.form),
        regression=config.regression.weight,
        schedule=Schedule(
            optim.lr,
            optim.min_lr,
            optim.weight_decay,
            optim.warmup_steps,
            total_steps=data.num_batches * len(epochs),
            first_step=data.num_batches * epochs.start,
        ),
        seed=config.seed,
        checkpoint=record,
        zero_shot=is_aligned(config),
    )


def _pairing(config: TrainConfig, training_set: TrainingSet) -> Pairing:
    scorer = retrieval_scorer(training_set.gallery, training_set.modalities, shared=True)
    return Pairing(training_set.name, training_set.modalities, scorer, fixed_side(config, training_set) is not None)


def _loss(config: TrainConfig) -> Any:
    made = LOSSES.build(config.loss.name, config.loss.options)
    if not callable(made):
        raise ConfigError(f"loss {config.loss.name!r} gave {type(made).__name__}, where a loss is due.")
    return made


def optimizer_of(config: TrainConfig, groups: list[dict[str, Any]], lr: float) -> torch.optim.Optimizer:
    """The optimiser of a run, for groups of parameters, at its peak learning rate."""
    made = OPTIMIZERS.build(config.optimizer.name, config.optimizer.options, params=groups, lr=lr)
    if not isinstance(made, torch.optim.Optimizer):
        kind = type(made).__name__
        raise ConfigError(f"optimizer {config.optimizer.name!r} gave {kind}, where a torch.optim.Optimizer is due.")
    return made


def _model(record: dict[str, Any]) -> FusionModel:
    try:
        return model_of(record)
    except (RuntimeError, MemoryError, OverflowError) as error:
        raise ConfigError(
            "adapters of this size cannot be made: "
            f"{first_line(error)}. Lower embedding_dim, or the widths in "
            "adapter.options."
        ) from error


def trainer_of(
    config: TrainConfig, pace: Pace, place: Path, record: dict[str, Any], state: RunState, processes: Processes
) -> L.Trainer:
    """Lightning's Trainer, writing into the run folder; notes in the record what it decides.

    Args:
        pace: its epochs.
        place: folder that the run is written in.
        record: see `run_record`.
        state: of what is there; a run that goes on keeps to what it decided when it was begun.
        processes: that train; see `processes_of`.

    Raises:
        ConfigError: accelerator, devices or precision are unknown, or not available here.
    """
    with available_here(config):
        return _trainer(config, pace, place, record, state, processes)


def _trainer(
    config: TrainConfig, pace: Pace, place: Path, record: dict[str, Any], state: RunState, processes: Processes
) -> L.Trainer:
    settings: dict[str, Any] = {
        **devices_of(config),
        # Under SLURM, Lightning looks there for a checkpoint of its own making, which must not be another run's.
        "default_root_dir": place,
    }
    if processes.world_size > 1:
        # The statistics of preprocessing never change, and a step of one set leaves the adapters of the others unused.
        settings["strategy"] = SavedTogether(broadcast_buffers=False, find_unused_parameters=bool(config.also))
    progress = [RunProgress()] if processes.is_global_zero else []  # one bar, whatever the number of processes
    since = {"schedule_from": state.schedule_from} if state.schedule_from else {}
    ends = {"ends": True} if state.last is None or state.decided.get("ends") else {}
    record["decided"] = {"precision": precision_of(config, processes.strategy.root_device, state), **ends, **since}
    return L.Trainer(
        **settings,
        precision=record["decided"]["precision"],
        max_epochs=pace.max_epochs,
        check_val_every_n_epoch=pace.validate_every,
        logger=loggers_of(config, place, state.epoch),
        plugins=[WholeCheckpoints()],
        callbacks=[
            Together(_must_agree(record, state)),
            *progress,
            *early_stopping(config.optim.patience),
            *([NewSchedule()] if state.is_longer else []),
            *checkpoints(place / CHECKPOINTS),
            WrittenToTheEnd(),
        ],
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        reload_dataloaders_every_n_epochs=1,
    )


def _must_agree(record: dict[str, Any], state: RunState) -> dict[str, str]:
    """What processes that share each batch are to have in common, by name."""
    data = {key: record[key] for key in ("encoders", "train", "validation", "also", "init_from")}
    return {
        "settings": sha256_of_json(record["config"])[:16],
        "latents": sha256_of_json(data)[:16],
        "precision": record["decided"]["precision"],
        "epochs done": str(state.epoch),
        "fusemix": str(installed("fusemix")),
        "torch": str(installed("torch")).partition("+")[0],
    }


def precision_of(config: TrainConfig, device: torch.device, state: RunState) -> Any:
    """What a run computes in, as Lightning names it; `auto` is decided once, when a run is begun.

    From then on this process multiplies float32 as that asks for: a mixed precision leaves to TF32 what bfloat16 does
    not do, and `32-true` is float32.
    """
    found = config.precision
    if found == "auto":
        found = state.decided.get("precision") or ("bf16-mixed" if multiplies_bfloat16(device) else "32-true")
    multiply_float32(exactly=device.type != "cuda" or str(found) in WHOLE)
    return found
