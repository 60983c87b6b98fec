"""What builds the encoders of a model on another machine.

Place in the flow: recipes of a run -> Travelling: names with pinned revisions, and folders that are copied along.

A name on the hub is pinned to the commit that the run's latents were made with. A folder or file of this machine is
copied into the export under its own name, which is part of the fingerprint. An installed package stays a name.
"""

import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fusemix.encoders import ENCODERS
from fusemix.errors import RunError
from fusemix.models.folder import INSIDE, PATHS, Travelling
from fusemix.models.matching import built_again, problems_of
from fusemix.models.recipes import NamedRecipe

COMMIT = re.compile(r"[0-9a-f]{40}")


def travelling(
    modality: str, number: int, named: NamedRecipe, recorded: Mapping[str, Any], taken: dict[str, Path]
) -> Travelling:
    """What builds one encoder elsewhere.

    Args:
        modality: of the encoder.
        number: its place among those of its modality, from 1.
        named: what builds it here.
        recorded: fingerprint of the latents that the run was trained on.
        taken: place inside the export -> what is copied there; what this encoder needs is added.

    Raises:
        RunError: its folder is not there, or an option of a factory of one's own is a path of this machine.
    """
    if named.recipe is None:
        return Travelling(named.name, None, {})
    options, inside = dict(named.recipe.get("options", {})), {}
    where = f"{modality}, encoder {number} ({named.name})"
    for option in PATHS:
        path = Path(str(options.get(option, ""))).expanduser()
        if options.get(option) and path.exists():
            inside[option] = _place(path.resolve(), taken)
            del options[option]
        elif path.is_absolute():
            raise RunError(
                f"{where} is built from {path}, which is not there. Say where it is now: "
                f"encoders={{{named.name}: {{name: {named.recipe['name']}, options: {{{option}: FOLDER, …}}}}}}."
            )
    if ":" in named.recipe["name"] and (found := next(_paths(options), None)):
        raise RunError(
            f"{where} has the option {found[0]}={found[1]}, a path of this machine. Let the factory find it by itself, "
            f"or call the option {' or '.join(PATHS)}, so that it travels with the export."
        )
    revision = recorded["encoder"].get("revision")
    if not inside and COMMIT.fullmatch(str(revision)) and "revision" in _parameters(named.recipe["name"]):
        options["revision"] = revision
    return Travelling(named.name, {"name": named.recipe["name"], "options": options}, inside)


def _parameters(name: str) -> Mapping[str, Any]:
    return inspect.signature(ENCODERS.factory(name)).parameters


def _paths(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Absolute paths in options, with the names of the options."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from _paths(one, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _paths(one, name)
    elif isinstance(value, str) and (Path(value).is_absolute() or value.startswith("~")):
        yield name, value


def _place(path: Path, taken: dict[str, Path]) -> str:
    """Where a folder lies in the export: under its own name, beside others of that name if need be."""
    number, place = 1, f"{INSIDE}/{path.name}"
    while taken.setdefault(place, path) != path:
        number += 1
        place = f"{INSIDE}/{number}/{path.name}"
    return place


def require_same(modality: str, number: int, named: NamedRecipe, recorded: Mapping[str, Any]) -> None:
    """Build an encoder from its copy, and refuse one that is not the one that the run was trained with.

    Raises:
        RunError: it is not.
        EncoderError, ConfigError: it cannot be built.
    """
    recipe = named.recipe or {}
    encoder = built_again(recipe["name"], recipe["options"], recorded)
    if problems := problems_of(number, encoder, recorded, modality):
        lines = "\n  ".join(problems)
        raise RunError(
            f"{modality}: what builds encoder {number} now is not what the run was trained with:\n  {lines}\n"
            f"Say where that is: encoders={{{named.name}: {{name: {recipe['name']}, options: {{model: …}}}}}}."
        )
