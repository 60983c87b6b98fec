"""Which model an index was made with, and whether it is the one at hand.

Place in the flow: Embedder -> what index.json says of it; index.json -> Embedder.
"""

import os
import shlex
from pathlib import Path
from typing import Any

from fusemix.build.embedding import Embedder
from fusemix.encoders.loading import weights_sha256
from fusemix.errors import RunError
from fusemix.search.folder import Index


def about_model(embedder: Embedder, name: str, checkpoint: str, folder: Path) -> dict[str, Any]:
    """What an index says of its model.

    Args:
        embedder: the model, opened.
        name: as it was given: a path or a name on the hub.
        checkpoint: of a run.
        folder: of the index.
    """
    is_here = Path(name).expanduser().exists()
    return {
        "name": str(Path(name).expanduser().resolve()) if is_here else name,
        "from_index": os.path.relpath(Path(name).expanduser().resolve(), folder.resolve()) if is_here else None,
        "checkpoint": checkpoint,
        "sha256": weights_sha256(embedder.trained.model),
        "modalities": list(embedder.modalities),
    }


def require_same_model(recorded: dict[str, Any], found: dict[str, Any], folder: Path) -> None:
    """Refuse to compare embeddings of different adapters.

    Raises:
        RunError: they are not the same.
    """
    if recorded["sha256"] != found["sha256"]:
        raise RunError(
            f"{folder} was made with another model than {found['name']} is now: {recorded['name']}, adapters "
            f"{recorded['sha256'][:12]}, now {found['sha256'][:12]}. Vectors of different adapters cannot be compared. "
            "Name that model with --model, or make the index anew with --overwrite."
        )


def model_of_index(index: Index, model: str | Path | None, device: str, trust_code: bool = False) -> Embedder:
    """The model that an index was made with.

    Args:
        index: opened.
        model: where it is now; None looks where it was, as seen from the index first.
        device: to compute on.
        trust_code: run code that the model names.

    Raises:
        RunError: it is not there any more, has changed, or lies in the index itself.
    """
    recorded = index.description.model
    name = str(model) if model is not None else _place(recorded, index.folder)
    embedder = Embedder(name, recorded["checkpoint"], device=device, trust_code=trust_code)
    require_same_model(recorded, about_model(embedder, name, recorded["checkpoint"], index.folder), index.folder)
    return embedder


def _place(recorded: dict[str, Any], folder: Path) -> str:
    if recorded["from_index"] is None:
        return recorded["name"]
    beside = folder / recorded["from_index"]
    place = os.path.normpath(beside) if beside.exists() else recorded["name"]
    if Path(place).resolve().is_relative_to(folder.resolve()):
        raise RunError(
            f"{folder} brings its own model, {place}. If you trust whoever sent it, name that model yourself: "
            f"--model {shlex.quote(place)}"
        )
    if not Path(place).exists():
        raise RunError(f"{folder} was made with {recorded['name']}, which is gone. Say where it is now: --model FOLDER")
    return place
