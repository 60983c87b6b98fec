"""A checkpoint: what it says about its run, and the model in it.

Place in the flow: checkpoint file -> plain data about the run -> FusionModel.

What a checkpoint holds about itself under `fusemix` is plain data, enough to build the model again and
to say whether two runs are the same. Lightning is not needed to read it, and takes seconds to import.
"""

import errno
import hashlib
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from fusemix.disk.files import write_atomic
from fusemix.errors import RunError, first_line
from fusemix.fusion.adapters import ADAPTERS
from fusemix.fusion.model import FusionModel
from fusemix.parts.trust import named_by_data, require_trust

CHECKPOINTS = "checkpoints"
BEST, LAST = "best.ckpt", "last.ckpt"
HUBS = "hubs.safetensors"
"""Beside them: what the run knows of the hubs of its best epoch; see models/hubs.py."""
ENDED = "ended"
"""Of what a checkpoint says about itself: what was done with its model when the run ended; see `as_ended`."""
MEAN_RECALL = "mean_recall"
"""Of that: on validation, where it is not the one that the epoch was chosen by."""
FROM_DATA = 0.07
"""Temperature that stands in where the data are going to say it."""
OF_MODEL = "model."
"""How names of the model's weights begin."""
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
        if version == VERSION and not isinstance(checkpoint["state_dict"], dict):
            raise TypeError("state_dict holds no weights")
        if version == VERSION and not isinstance(checkpoint["epoch"], int):
            raise TypeError("epoch is no number")
    except Exception as error:  # of a file that anybody may have made or cut off, anything
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # torch looks for parts before the file's start
            raise RunError(f"{path} cannot be read: {error.strerror or error}.") from error
        raise RunError(f"{path} is damaged, or no checkpoint of fusemix: {_reason(path, error)}") from error
    if version != VERSION:
        raise RunError(
            f"{path} is of version {version}, and this fusemix reads version {VERSION}. Train again, with another out "
            "or with overwrite=true."
        )
    return checkpoint


def is_checkpoint(path: Path) -> bool:
    """Whether a file is a checkpoint of fusemix's, of whatever version."""
    try:
        return isinstance(about(torch.load(path, map_location="cpu", weights_only=True)), Mapping)
    except Exception:  # of a file that anybody may have made or cut off, anything
        return False


def _reason(path: Path, error: Exception) -> str:
    if path.stat().st_size == 0:
        return "it is empty."
    if isinstance(error, (OSError, RuntimeError, UnpicklingError)):  # torch speaks of its insides, and of unsafe ways
        return "it is cut off, or of another kind."
    return f"it does not hold what a run saves ({type(error).__name__}: {first_line(error)[:200]})."


def about(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """What a checkpoint says about its run."""
    return checkpoint["hyper_parameters"]["fusemix"]


def weights_sha256(checkpoint: Mapping[str, Any]) -> str:
    """Hash of the weights of a checkpoint's model, in hexadecimal, whatever else was saved beside them."""
    digest = hashlib.sha256()
    for name, weights in sorted(checkpoint["state_dict"].items()):
        if name.startswith(OF_MODEL):
            digest.update(f"{name} {weights.dtype} {tuple(weights.shape)}\n".encode())
            digest.update(weights.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def model_of(record: Mapping[str, Any]) -> FusionModel:
    """A model with fresh weights, from what a checkpoint says about itself."""
    config, ended = record["config"], record.get(ENDED, {})
    chosen = {modality: config["adapters"].get(modality, config["adapter"]) for modality in record["dims"]}
    model = FusionModel(
        dims=record["dims"],
        embedding_dim=config["embedding_dim"],
        adapters={modality: (part["name"], part["options"]) for modality, part in chosen.items()},
        preprocess=config["preprocess"],
        temperature=FROM_DATA if config["temperature"] == "auto" else config["temperature"],
        closed_form=ended.get("share", config["closed_form"]["share"]),
    )
    if ended.get("is_rotated"):
        model.turn(torch.eye(model.width))
    return model


def as_ended(checkpoint: Mapping[str, Any], model: FusionModel, facts: Mapping[str, Any]) -> dict[str, Any]:
    """A checkpoint with another model's weights, and with what was done to come to them.

    Args:
        checkpoint: as read.
        model: that takes the place of its own.
        facts: plain data; `share` and `is_rotated` are what the model is built by.
    """
    others = {name: tensor for name, tensor in checkpoint["state_dict"].items() if not name.startswith(OF_MODEL)}
    weights = {OF_MODEL + name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    parameters = {**checkpoint["hyper_parameters"], "fusemix": {**about(checkpoint), ENDED: dict(facts)}}
    return {**checkpoint, "state_dict": {**others, **weights}, "hyper_parameters": parameters}


def write_checkpoint(path: Path, checkpoint: Mapping[str, Any]) -> None:
    """Write a checkpoint whole, in place of the one that is there."""
    with write_atomic(path) as file:
        torch.save(dict(checkpoint), file)


def foreign_adapters(record: Mapping[str, Any]) -> list[str]:
    """Names of the adapters that are not fusemix's own, from what a checkpoint says about itself."""
    config = record["config"]
    names = [part["name"] for part in (config["adapter"], *config["adapters"].values())]
    return [str(name) for name in names if not ADAPTERS.is_own(name)]


def trained_model(checkpoint: Mapping[str, Any], trust_code: bool = False) -> FusionModel:
    """The model of a checkpoint with its weights, in evaluation mode.

    Args:
        checkpoint: as read.
        trust_code: whether adapters that are not fusemix's own may run.

    Raises:
        UntrustedCodeError: they may not.
        RunError: its weights are not those of such a model.
    """
    require_trust("the checkpoint of the run", foreign_adapters(about(checkpoint)), trust_code)
    with named_by_data():
        model = model_of(about(checkpoint))
    weights = {k.removeprefix(OF_MODEL): v for k, v in checkpoint["state_dict"].items() if k.startswith(OF_MODEL)}
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise RunError(f"the weights of a checkpoint do not fit what it says of itself: {error}") from error
    return model.eval()


def checkpoint_of(path: Path) -> Path:
    """The best checkpoint of a run folder, or the checkpoint itself."""
    return path / CHECKPOINTS / "best.ckpt" if path.is_dir() else path
