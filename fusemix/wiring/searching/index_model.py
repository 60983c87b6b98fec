"""Which model an index was made with, and whether it is the one at hand.

Place in the flow: Embedder -> what index.json says of it; index.json -> Embedder.
"""

import math
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from fusemix.encoders.loading import weights_sha256
from fusemix.errors import RunError
from fusemix.models.embedder import Embedder
from fusemix.models.folder import PATHS
from fusemix.models.matching import How
from fusemix.models.recipes import Source
from fusemix.models.trained import Trained
from fusemix.parts.kinds import misfit
from fusemix.parts.trust import named_by_data
from fusemix.remote.paths import located
from fusemix.search.description import INDEX, damaged
from fusemix.search.folder import Index

ENCODERS_NOTED = "encoders"
"""Key of what index.json says of its model's encoders."""


def about_model(
    embedder: Embedder,
    name: str,
    checkpoint: str,
    folder: Path,
    encoders: Mapping[str, Sequence[Source]] = MappingProxyType({}),
) -> dict[str, Any]:
    """What an index says of its model.

    Args:
        embedder: the model, opened.
        name: as it was given: a path or a name on the hub.
        checkpoint: of a run.
        folder: of the index.
        encoders: that were named for it.
    """
    is_here = Path(name).expanduser().exists()
    return {
        "name": str(Path(name).expanduser().resolve()) if is_here else name,
        "from_index": os.path.relpath(Path(name).expanduser().resolve(), folder.resolve()) if is_here else None,
        "checkpoint": checkpoint,
        "sha256": weights_sha256(embedder.trained.model),
        "modalities": list(embedder.modalities),
        ENCODERS_NOTED: _placed_encoders(embedder.trained, encoders),
    }


def _placed_encoders(trained: Trained, named: Mapping[str, Sequence[Source]]) -> dict[str, list[Source]]:
    """What was named, and of the others what a run names by a path that leads there from this folder alone."""
    found = {}
    for modality, known in trained.sources.items():
        sources = named.get(modality) or [one.source for one in known if one.source is not None]
        placed = [_placed(source) for source in sources]
        if modality in named or placed != sources:
            found[modality] = placed
    return found


def _placed(source: Source) -> dict[str, Any]:
    options = dict(source.get("options") or {})
    for option in PATHS:
        path = Path(str(options.get(option) or "")).expanduser()
        if options.get(option) and path.exists():
            options[option] = str(path.resolve())
    return {"name": source["name"], "options": options}


def noted_encoders(model: Mapping[str, Any], folder: Path) -> dict[str, list[Source]]:
    """What an index says that builds encoders, by modality; indexes of before say nothing of it.

    Raises:
        IndexFolderError: it says something else there.
    """
    found = model.get(ENCODERS_NOTED, {})
    if problem := misfit(found, dict[str, list[dict[str, Any]]]):
        raise damaged(folder / INDEX, f"is damaged: its encoders must be {problem}")
    for source in (source for sources in found.values() for source in sources):
        if not isinstance(source.get("name"), str) or not isinstance(source.get("options"), dict):
            raise damaged(folder / INDEX, "is damaged: an encoder of its model has no name or no options")
    return found


def as_setting(modality: str, sources: list[dict[str, Any]]) -> str:
    """How encoders are given to `fusemix index`."""
    return f"Give them as a setting, in the order of training: {_setting(modality, sources)}"


def at_the_index(index: Index) -> How:
    """How encoders are given where an index is searched: they are noted in it."""
    about = index.description

    def how(modality: str, sources: list[dict[str, Any]]) -> str:
        places = {"model": about.model["name"], "data": about.sources[0]["path"], "out": index.folder.resolve()}
        options = " ".join(f"--{name} {shlex.quote(str(place))}" for name, place in places.items())
        return (
            "Name them for the index, in the order of training; what it holds is not embedded again:\n  "
            f"fusemix index {options} {_setting(modality, sources)}"
        )

    return how


def _setting(modality: str, sources: list[dict[str, Any]]) -> str:
    flow = yaml.safe_dump(
        {modality: sources}, default_flow_style=True, allow_unicode=True, sort_keys=False, width=math.inf
    )
    return shlex.quote(f"encoders={flow.strip()}")


def require_same_model(recorded: dict[str, Any], found: dict[str, Any], folder: Path) -> None:
    """Refuse to compare embeddings of different adapters.

    Raises:
        RunError: they are not the same.
    """
    if recorded["sha256"] != found["sha256"]:
        raise RunError(
            f"{folder} was made with another model than {found['name']} is now: {recorded['name']}, adapters "
            f"{recorded['sha256'][:12]}, now {found['sha256'][:12]}. Vectors of different adapters cannot be compared. "
            "Name that model with --model, or make the index anew: fusemix index … --overwrite"
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
    if model is None:
        with named_by_data():
            located(name)  # a URL that none of the user's settings has named is not opened
    noted = noted_encoders(recorded, index.folder)
    how = at_the_index(index)
    embedder = Embedder(name, recorded["checkpoint"], device=device, trust_code=trust_code, noted=noted, how=how)
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
