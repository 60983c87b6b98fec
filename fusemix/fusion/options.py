"""Ranges of the options of adapters, losses and mixups.

Place in the flow: an option and its name -> nothing, or a ConfigError. Types are the registry's to check, and settings
that are no options are checked in config/.
"""

from fusemix.errors import ConfigError

MOST_WIDTH = 1 << 20
MOST_BLOCKS = 1000


def between(name: str, value: int | float, least: int | float, most: int | float) -> None:
    """Refuse an option out of its range; both ends belong to it.

    Args:
        name: of the option, as in `adapter.options.num_blocks`.
        value: of the option.
        least: smallest value.
        most: largest value.
    """
    if not least <= value <= most:
        raise ConfigError(f"{name} is {value}, but must lie between {least:,} and {most:,}.")


def share(name: str, value: int | float) -> None:
    """Refuse what is no share: at least 0, and below 1."""
    if not 0 <= value < 1:
        raise ConfigError(f"{name} is {value}, but must be at least 0 and below 1.")
