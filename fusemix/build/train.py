"""Stage 2, wired: latents, model, loss, schedule and Lightning's Trainer.

Place in the flow: TrainConfig -> LatentData, FusionModule, Trainer.
"""

from pathlib import Path
from typing import Any

import lightning as L
import torch
from jaxtyping import Float
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch import Tensor

from fusemix.config import TrainConfig, to_plain
from fusemix.errors import ConfigError, RunError
from fusemix.files import differences
from fusemix.fusion.callbacks import RunProgress, checkpoints
from fusemix.fusion.losses import LOSSES
from fusemix.fusion.module import FusionModule, Schedule
from fusemix.fusion.runs import CHECKPOINTS, model_of
from fusemix.interfaces import Scorer
from fusemix.latents.loader import Gallery, LatentData
from fusemix.latents.sets import LatentSet, Side
from fusemix.retrieval.metrics import flat, mean_recall, measure

NOT_IDENTITY = ("out", "resume", "overwrite", "accelerator", "train", "validation")
"""Settings that may change while a run stays the same; the data are told apart by their hashes."""


def latent_data(config: TrainConfig) -> tuple[LatentData, LatentSet, LatentSet]:
    """Batches, the set they come from, and the set that epochs are chosen on.

    Raises:
        ConfigError: modalities without latents, a batch larger than the data, or a test split to choose on.
        RunError: the two sets were not made by the same encoders.
    """
    train = LatentSet(Path(config.train), config.encoders)
    validation = LatentSet(Path(config.validation), config.encoders) if config.validation else None
    for side in train.sides if validation else ():
        other = next((s for s in validation.sides if s.modality == side.modality), None) if validation else None
        require_same_encoders(str(config.validation), side.modality, side.fingerprints, other)
    data = LatentData(
        train,
        validation=validation,
        holdout=config.holdout,
        pairs_per_step=config.optim.batch_size * (2 if config.mixup_alpha > 0 else 1),
        seed=config.seed,
    )
    return data, train, validation or train


def run_record(config: TrainConfig, train: LatentSet, validation: LatentSet) -> dict[str, Any]:
    """What a run says about itself in its checkpoints, as plain data.

    Enough to build the model again, to know its data and encoders, and to tell two runs apart.
    """
    settings = {key: value for key, value in to_plain(config).items() if key not in NOT_IDENTITY}
    return {
        "config": settings,
        "widths": {side.modality: side.dim for side in train.sides},
        "encoders": {side.modality: side.fingerprints for side in train.sides},
        "train": _data_record(train),
        "validation": _data_record(validation),
    }


def _data_record(latent_set: LatentSet) -> dict[str, Any]:
    about = latent_set.description
    hashes = {side: about[side]["sha256"] for side in ("left", "right")}
    return {"name": latent_set.name, "num_links": len(latent_set.links), "links": about["links_sha256"], **hashes}


def fusion_module(config: TrainConfig, data: LatentData, train: LatentSet, record: dict[str, Any]) -> FusionModule:
    """Model, loss, optimiser and scorer, ready to be fitted."""
    optim = config.optim
    steps = max(1, len(data.links) // data.pairs_per_step)
    return FusionModule(
        model=model_of(record),
        loss=LOSSES.build(config.loss.name, config.loss.options),
        modalities=(train.left.modality, train.right.modality),
        mixup_alpha=config.mixup_alpha,
        schedule=Schedule(optim.lr, optim.min_lr, optim.weight_decay, optim.warmup_steps, steps * optim.max_epochs),
        scorer=retrieval_scorer(data.gallery, (train.left.modality, train.right.modality)),
        seed=config.seed,
        checkpoint=record,
    )


def retrieval_scorer(gallery: Gallery, modalities: tuple[str, str]) -> Scorer:
    """Recall of both directions and their mean, by the code that evaluation uses."""
    smallest = min(len(gallery.left_rows), len(gallery.right_rows))
    ks = [k for k in (1, 5, 10) if k <= smallest]

    def score(left: Float[Tensor, "left dim"], right: Float[Tensor, "right dim"]) -> dict[str, float]:
        directions = measure(left, right, gallery.links, modalities, ks)
        return {**flat(directions), "mean_recall": mean_recall(directions)}

    return score


def trainer(config: TrainConfig) -> L.Trainer:
    """Lightning's Trainer, writing into the run folder.

    Raises:
        ConfigError: accelerator or precision is unknown, or not to be had here.
    """
    on_gpu = config.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    precision: Any = config.precision if config.precision != "auto" else "bf16-mixed" if on_gpu else "32-true"
    out = Path(config.out)
    settings: dict[str, Any] = {"accelerator": config.accelerator, "devices": 1, "precision": precision}
    try:
        return _trainer(config, out, settings)
    except (MisconfigurationException, ValueError) as error:
        raise ConfigError(
            f"accelerator={config.accelerator}, precision={config.precision} cannot be used here: "
            f"{str(error).splitlines()[0]} See `fusemix doctor`."
        ) from error


def _trainer(config: TrainConfig, out: Path, settings: dict[str, Any]) -> L.Trainer:
    return L.Trainer(
        **settings,
        max_epochs=config.optim.max_epochs,
        logger=[CSVLogger(out, name="", version=""), TensorBoardLogger(out, name="", version="tensorboard")],
        callbacks=[RunProgress(), *checkpoints(out / CHECKPOINTS)],
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        reload_dataloaders_every_n_epochs=1,
    )


def require_same_encoders(where: str, modality: str, wanted: list[dict[str, Any]], side: Side | None) -> None:
    """Refuse latents that other encoders made; other versions of packages are no reason to.

    Raises:
        RunError: they differ, field by field.
    """
    found = side.fingerprints if side else []
    lines = differences(_named(found), _named(wanted)) if found else [f"there is no {modality}"]
    lines = [line for line in lines if ".packages." not in line]
    if lines:
        text = "\n  ".join(lines)
        raise RunError(
            f"{where}: its {modality} latents were not made like those that the model is trained on:\n  {text}\n"
            "Cache the set again with the encoders of the training set."
        )


def _named(fingerprints: list[dict[str, Any]]) -> dict[str, Any]:
    return {f"encoder {number}": fingerprint for number, fingerprint in enumerate(fingerprints, start=1)}
