"""A run folder: is there a run to continue, one that is finished, or another one in the way?

Place in the flow: run folder -> the checkpoint to go on from; a finished run -> FusionModel.

What a checkpoint holds about itself under `fusemix` is plain data, enough to build the model again and
to say whether two runs are the same.
"""

import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loggers import CSVLogger

from fusemix.errors import RunError
from fusemix.files import differences, write_text
from fusemix.fusion.callbacks import stopped_early
from fusemix.fusion.model import FusionModel

CHECKPOINTS = "checkpoints"
VERSION = 2
"""Of what a checkpoint says about itself. 1 knew one width a modality and `mixup_alpha`."""


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of ours, without running any code that it might hold.

    Raises:
        RunError: it is missing, damaged, or not ours.
    """
    if not path.is_file():
        found = sorted(p.name for p in path.parent.glob("*.ckpt"))
        known = f"There are: {', '.join(found)}." if found else "Train first: python train.py CONFIG."
        raise RunError(f"there is no checkpoint {path}. {known}")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        version = about(checkpoint).get("version", 1)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path} is damaged, or no checkpoint of fusemix: {str(error).splitlines()[0][:200]}") from error
    if version != VERSION:
        raise RunError(
            f"{path} is of version {version}, and this fusemix reads version {VERSION}. Train again, with another out "
            "or with overwrite=true."
        )
    return checkpoint


def about(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """What a checkpoint says about its run."""
    return checkpoint["hyper_parameters"]["fusemix"]


def state_of_run(
    folder: Path, wanted: Mapping[str, Any], *, max_epochs: int, resume: bool, overwrite: bool
) -> tuple[Path | None, bool]:
    """Find out how to go on in a run folder; nothing is changed.

    Args:
        folder: of the run.
        wanted: what the run is going to be: settings and data, as it will stand in its checkpoints.
        max_epochs: length of the run.
        resume: there must be something to continue.
        overwrite: what is there does not count.

    Returns:
        The checkpoint to go on from, or None to start; and whether the run is finished already.

    Raises:
        RunError: another run is in the way, or there is nothing to continue.
    """
    last = folder / CHECKPOINTS / "last.ckpt"
    if overwrite:
        return None, False
    if not last.is_file():
        if resume:
            raise RunError(f"resume=true, but {last} does not exist, so there is nothing to continue in {folder}.")
        return None, False
    checkpoint = read_checkpoint(last)
    found = differences(about(checkpoint), dict(wanted))
    if found:
        lines = "\n  ".join(found)
        raise RunError(
            f"{folder} holds a run that differs from this one:\n  {lines}\n"
            "Choose another out, or discard that run with overwrite=true."
        )
    return last, checkpoint["epoch"] + 1 >= max_epochs or stopped_early(checkpoint.get("callbacks", {}))


def discard(folder: Path) -> None:
    """Remove the run that is in a folder, if one is."""
    if (folder / "config.yaml").is_file():
        shutil.rmtree(folder)


def model_of(record: Mapping[str, Any]) -> FusionModel:
    """A model with fresh weights, from what a checkpoint says about itself."""
    config = record["config"]
    chosen = {modality: config["adapters"].get(modality, config["adapter"]) for modality in record["dims"]}
    return FusionModel(
        dims=record["dims"],
        embedding_dim=config["embedding_dim"],
        adapters={modality: (part["name"], part["options"]) for modality, part in chosen.items()},
        preprocess=config["preprocess"],
        temperature=config["temperature"],
        closed_form=config["closed_form"]["share"],
    )


def trained_model(checkpoint: Mapping[str, Any]) -> FusionModel:
    """The model of a checkpoint with its weights, in evaluation mode."""
    model = model_of(about(checkpoint))
    prefix = "model."
    weights = {k.removeprefix(prefix): v for k, v in checkpoint["state_dict"].items() if k.startswith(prefix)}
    model.load_state_dict(weights)
    return model.eval()


def continue_metrics(trainer: L.Trainer) -> None:
    """Keep the rows of metrics.csv when a run goes on; Lightning's CSVLogger deletes the file."""
    for logger in trainer.loggers:
        if isinstance(logger, CSVLogger):
            path = Path(logger.log_dir) / "metrics.csv"
            rows = path.read_text(encoding="utf-8") if path.is_file() else ""
            writer = logger.experiment  # making it is what deletes the file
            if rows:
                write_text(path, rows)
                writer.metrics_keys = rows.splitlines()[0].split(",")
