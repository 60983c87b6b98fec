"""Which model an index was made with, and whether it is the one at hand.

Place in the flow: Embedder -> what index.json says of it; index.json -> Embedder.
"""

import math
import os
import shlex
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from fusemix.encoders.loading import weights_sha256
from fusemix.errors import FusemixError, RunError
from fusemix.models.embedder import Embedder
from fusemix.models.folder import PATHS
from fusemix.models.matching import How
from fusemix.models.recipes import EncoderRecipe
from fusemix.models.trained import Trained, open_trained
from fusemix.parts.kinds import misfit
from fusemix.parts.trust import named_by_data
from fusemix.remote.paths import located
from fusemix.search.description import INDEX, Description, damaged
from fusemix.search.folder import Index

ENCODERS_NOTED = "encoders"
"""Key of what index.json says of its model's encoders."""


def about_model(
    embedder: Embedder,
    name: str,
    checkpoint: str,
    folder: Path,
    noted: Collection[str] = (),
) -> dict[str, Any]:
    """What an index says of its model.

    Args:
        embedder: the model, opened.
        name: as it was given: a path or a name on the hub.
        checkpoint: of a run.
        folder: of the index.
        noted: modalities whose encoders the index notes, as the embedder builds them.
    """
    is_here = Path(name).expanduser().exists()
    return {
        "name": str(Path(name).expanduser().resolve()) if is_here else name,
        "from_index": os.path.relpath(Path(name).expanduser().resolve(), folder.resolve()) if is_here else None,
        "checkpoint": checkpoint,
        "sha256": weights_sha256(embedder.trained.model),
        "modalities": list(embedder.modalities),
        ENCODERS_NOTED: _placed_encoders(embedder.trained, noted),
    }


def _placed_encoders(trained: Trained, noted: Collection[str]) -> dict[str, list[EncoderRecipe]]:
    """What was given or is noted, and of the others what a run names by a path that leads there from here alone."""
    found = {}
    for modality, known in trained.recipes.items():
        recipes = [one.recipe for one in known if one.recipe is not None]
        placed = [_placed(recipe) for recipe in recipes]
        if modality in noted or placed != recipes or any(one.is_given for one in known):
            found[modality] = placed
    return found


def _placed(recipe: EncoderRecipe) -> dict[str, Any]:
    options = dict(recipe.get("options") or {})
    for option in PATHS:
        path = Path(str(options.get(option) or "")).expanduser()
        if options.get(option) and path.exists():
            options[option] = str(path.resolve())
    return {"name": recipe["name"], "options": options}


def noted_encoders(model: Mapping[str, Any], folder: Path) -> dict[str, list[EncoderRecipe]]:
    """What an index says that builds encoders, by modality; indexes of before say nothing of it.

    Raises:
        IndexFolderError: it says something else there.
    """
    found = model.get(ENCODERS_NOTED, {})
    if problem := misfit(found, dict[str, list[dict[str, Any]]]):
        raise damaged(folder / INDEX, f"is damaged: its encoders must be {problem}")
    for recipe in (recipe for recipes in found.values() for recipe in recipes):
        if not isinstance(recipe.get("name"), str) or not isinstance(recipe.get("options"), dict):
            raise damaged(folder / INDEX, "is damaged: an encoder of its model has no name or no options")
    return found


def as_setting(recipes: Mapping[str, EncoderRecipe]) -> str:
    """How encoders are given to `fusemix index`."""
    return f"Give them as a setting: {_setting(recipes)}"


def at_the_index(index: Index) -> How:
    """How encoders are given where an index is searched: they are noted in it."""
    about = index.description

    def how(recipes: Mapping[str, EncoderRecipe]) -> str:
        origin = about.sources[0]
        kind = "data" if origin["kind"] == "folder" else "latents"
        places = {"model": about.model["name"], kind: origin["path"], "out": index.folder.resolve()}
        options = " ".join(f"--{name} {shlex.quote(str(place))}" for name, place in places.items())
        return (
            "Name them for the index; what it holds is not embedded again:\n  "
            f"fusemix index {options} {_setting(recipes)}"
        )

    return how


def _setting(recipes: Mapping[str, EncoderRecipe]) -> str:
    named = {name: dict(recipe) for name, recipe in recipes.items()}
    flow = yaml.safe_dump(named, default_flow_style=True, allow_unicode=True, sort_keys=False, width=math.inf)
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
            "Name that model with --model, or make the index again: fusemix index … --overwrite"
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
    name = str(model) if model is not None else place_of_model(recorded, index.folder)
    if model is None:
        with named_by_data():
            located(name)  # a URL that none of the user's settings has named is not opened
    noted = noted_encoders(recorded, index.folder)
    how = at_the_index(index)
    embedder = Embedder(name, recorded["checkpoint"], device=device, trust_code=trust_code, noted=noted, how=how)
    require_same_model(recorded, about_model(embedder, name, recorded["checkpoint"], index.folder), index.folder)
    return embedder


def trained_of(about: Description, folder: Path) -> Trained | None:
    """The trained part of the model that an index was made with; None where it is out of reach, or another one.

    Args:
        about: the index.
        folder: of it.
    """
    try:
        found = open_trained(place_of_model(about.model, folder), about.model["checkpoint"])
    except FusemixError:
        return None
    return found if weights_sha256(found.model) == about.model["sha256"] else None


def place_of_model(recorded: dict[str, Any], folder: Path) -> str:
    """Where the model of an index is now, as seen from the index first.

    Args:
        recorded: what the index says of its model.
        folder: of the index.

    Raises:
        RunError: it is gone, or lies in the index itself.
    """
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
