"""What several settings are checked for.

Place in the flow: a value and its key -> nothing, or a ConfigError.
"""

from fusemix.errors import ConfigError


def require_folder_name(key: str, name: str) -> None:
    """Refuse a name of the user's that cannot become a folder."""
    if not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise ConfigError(f"{key}: a name becomes a folder; use letters, digits, '-', '_' and '.'.")


def at_least(key: str, value: int | float, least: int | float) -> None:
    """Refuse a number that is too small."""
    if not value >= least:  # NaN, too
        raise ConfigError(f"{key} is {value}, but must be at least {least}.")


def within(key: str, value: int | float, least: int | float, most: int | float) -> None:
    """Refuse a number out of its range; both ends belong to it."""
    if not least <= value <= most:
        raise ConfigError(f"{key} is {value}, but must lie between {least} and {most}.")
