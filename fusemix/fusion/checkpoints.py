"""A checkpoint: what it says about its run, and the model in it.

Place in the flow: checkpoint file -> plain data about the run -> FusionModel.

What a checkpoint holds about itself under `fusemix` is plain data, enough to build the model again and
to say whether two runs are the same. Lightning is not needed to read it, and takes seconds to import.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from fusemix.errors import RunError
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
