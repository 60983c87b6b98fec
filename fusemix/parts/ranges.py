"""Numbers that a user gives, in their ranges.

Place in the flow: a setting or an option, by its name -> nothing, or a ConfigError. Types are checked before.
"""

import math

from fusemix.errors import ConfigError


def within(name: str, value: int | float, least: int | float, most: int | float) -> None:
    """Refuse a number out of its range; both ends belong to it.

    Args:
        name: of the setting or option, as in `adapter.options.num_blocks`.
        value: that was given.
        least: smallest value.
        most: largest value.
    """
    if not least <= value <= most:
        raise ConfigError(f"{name} is {value}, but must lie between {least} and {most}.")


def share(name: str, value: int | float) -> None:
    """Refuse what is no share: at least 0, and below 1."""
    if not 0 <= value < 1:
        raise ConfigError(f"{name} is {value}, but must be at least 0 and below 1.")


def positive(name: str, value: int | float) -> None:
    """Refuse a number that is 0, negative, infinite, or NaN."""
    if not 0 < value < math.inf:
        raise ConfigError(f"{name} is {value}, but must be above 0.")
