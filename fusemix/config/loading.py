"""Read settings: yaml files and key=value -> a frozen dataclass, or a message.

Place in the flow: defaults < yaml files, left to right < key=value < --key value. Errors of OmegaConf and yaml end
here.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from fusemix.config.options import split_options
from fusemix.errors import ConfigError

Config = TypeVar("Config")


def load_config(schema: type[Config], arguments: Sequence[str], words: str | None = None) -> Config:
    """Merge yaml files, `key=value` and options over a schema's defaults.

    Args:
        schema: one of the dataclasses of this package.
        arguments: yaml files, `key=value` and `--key value`, in any order; later files win over earlier ones,
            `key=value` wins over files, and options over all.
        words: a setting that takes the arguments that are no options, as they stand; there are no files then.

    Raises:
        ConfigError: a file is missing or not yaml, a key is unknown, a value has the wrong type.
    """
    config = cast(DictConfig, OmegaConf.structured(schema))
    settings, said = split_options(schema, arguments, words)
    for argument in sorted(settings, key=lambda argument: "=" in argument):  # stable: files first
        config = _merge(config, argument)
    try:
        config = cast(DictConfig, OmegaConf.merge(config, said))
        return cast(Config, OmegaConf.to_object(config))
    except OmegaConfBaseException as error:
        if isinstance(error.__cause__, ConfigError):
            raise error.__cause__ from None
        raise ConfigError(_explain(" ".join(arguments) or schema.__name__, error)) from error


def _merge(config: DictConfig, argument: str) -> DictConfig:
    if "=" not in argument and not Path(argument).is_file():
        raise ConfigError(f"there is no config file {argument}. Settings are given as key=value.")
    try:
        changes = OmegaConf.from_dotlist([argument]) if "=" in argument else OmegaConf.load(argument)
        return cast(DictConfig, OmegaConf.merge(config, changes))
    except (OmegaConfBaseException, YAMLError, ValueError, TypeError) as error:
        raise ConfigError(_explain(argument, error)) from error


def _explain(where: str, error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if "_type=" not in line and line.strip()]
    if "missing mandatory value" in lines[0].lower():
        key = lines[0].rpartition(":")[2].strip()
        return f"the setting {key!r} has no value. Give it in a yaml file, or as {key}=… on the command line."
    return f"{where}: " + "\n".join(lines)


def to_plain(config: object) -> dict[str, Any]:
    """A config as nested dicts, lists and numbers, which yaml, JSON and checkpoints can hold."""
    return cast(dict[str, Any], OmegaConf.to_container(OmegaConf.structured(config)))
