"""Settings of other commands, as a study gives them: all are read and checked before anything is run.

Place in the flow: mappings of a study, job by job -> the same code that reads words of the command line -> Settings.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from fusemix import config
from fusemix.cli.loading import checked, file_of, makes, told_by_file
from fusemix.cli.parts import PARTS
from fusemix.cli.table import COMMANDS
from fusemix.config.recipes import no_recipe
from fusemix.config.shapes import is_part, shaped
from fusemix.config.typed import Whole, Word, bare, merged, plain
from fusemix.errors import ConfigError
from fusemix.parts.registry import nearest
from fusemix.wiring.studying.tasks import OWN_SETTINGS, Said, Settings

PLACEHOLDER = re.compile(r"\$\{([^{}]*)\}")


def settings_for(command: str, files: Sequence[str], said: Sequence[Said], places: Mapping[str, str]) -> Settings:
    """The settings of one command.

    Args:
        command: its name.
        files: recipes by name, or yaml files; later ones win, and `said` wins over all.
        said: mappings of settings, with where each stands; later ones win.
        places: what stands for `${NAME}` in texts.

    Raises:
        ConfigError: there is no such command, file, setting or place; a value is missing, or has the wrong type.
    """
    where = said[0].where if said else command
    if command not in COMMANDS:
        raise ConfigError(f"{where}: this fusemix has no command {command!r}. Leave out that stage.")
    schema = getattr(config, COMMANDS[command].schema)
    told: Any = {}
    for word in files:
        if not (path := file_of(schema, word)):
            raise ConfigError(f"{where}: {no_recipe(word, schema)}")
        by_file: Any = told_by_file(schema, path)
        told = merged(told, {key: value for key, value in by_file.items() if key not in OWN_SETTINGS})
    for one in said:
        if own := [key for key in one.settings if key in OWN_SETTINGS]:
            raise ConfigError(f"{one.where}: {own[0]} is what a study sets itself. Leave it out.")
        tree = checked(schema, _tree(one.settings), one.where)
        told = merged(told, _wholes(tree) if one.is_whole else tree)
    told = _filled(told, places, where)
    told = {**told, "out": Word("out", is_quoted=True)}
    try:
        made = makes(schema, told, PARTS, where)()
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    return Settings(_beside_defaults(made), plain(shaped(told, schema), schema), made)


def _tree(value: Any) -> Any:
    """Plain data as what was typed."""
    if isinstance(value, Mapping):
        tree: Any = {}
        for name, one in value.items():
            inside = _tree(one)
            for part in reversed(str(name).split(".")):
                inside = {part: inside}
            tree = merged(tree, inside)
        return tree
    if isinstance(value, list | tuple):
        return [_tree(one) for one in value]
    return Word(value) if isinstance(value, str) else value


def _wholes(tree: Any) -> Any:
    """A tree in which parts that are named take the place of others, with their options."""
    if not isinstance(tree, dict):
        return tree
    found = {key: _wholes(one) for key, one in tree.items()}
    return Whole(found) if "name" in found else found


def _filled(tree: Any, places: Mapping[str, str], where: str) -> Any:
    """A tree with what stands for `${NAME}` in its texts."""
    tree = bare(tree)
    if isinstance(tree, dict):
        return type(tree)({key: _filled(one, places, where) for key, one in tree.items()})
    if isinstance(tree, list):
        return [_filled(one, places, where) for one in tree]
    if not isinstance(tree, Word):
        return tree
    for found in PLACEHOLDER.finditer(tree.text):
        if found[1] not in places:
            known = ", ".join(f"${{{name}}}" for name in places) or "nothing"
            raise ConfigError(
                f"{where}: {found[0]} stands for nothing here.{nearest(found[1], list(places))} What stands for the "
                f"folders of earlier stages: {known}."
            )
    text = PLACEHOLDER.sub(lambda found: places[found[1]], tree.text)
    return tree if text == tree.text else Word(text, is_quoted=True)


def _beside_defaults(made: Any) -> dict[str, Any]:
    """What settings say that is not at its default, so that a setting of a later fusemix changes no study."""
    said = {}
    for field in dataclasses.fields(made):
        value, factory = getattr(made, field.name), field.default_factory
        default = field.default if factory is dataclasses.MISSING else factory()
        if field.name not in OWN_SETTINGS and value != default:
            said[field.name] = _said(value)
    return said


def _said(value: Any) -> Any:
    if is_part(type(value)):
        return {"name": value.name, "options": value.options}
    if dataclasses.is_dataclass(value):
        return _beside_defaults(value)
    if isinstance(value, dict):
        return {key: _said(one) for key, one in value.items()}
    return [_said(one) for one in value] if isinstance(value, list) else value
