"""Settings of commands that take bare words: paths of what other commands have written, or a shell.

Place in the flow: see fusemix/config/__init__.py.
"""

from dataclasses import dataclass, field

from fusemix.config.shapes import BARE
from fusemix.errors import ConfigError
from fusemix.parts.kinds import Location

SHELLS = ("bash", "zsh", "fish")


@dataclass(frozen=True, kw_only=True)
class VerifyConfig:
    """Read latents, indexes or models back and compare every file with its hash."""

    folders: list[Location] = field(default_factory=list, metadata=BARE)
    """Of latent sets (also many below one folder), latent stores, indexes, runs or exports."""

    def __post_init__(self) -> None:
        """Check what can be checked without data."""
        if not self.folders:
            raise ConfigError("verify needs the folder of a latent set, of a latent store, of an index or of a model.")


@dataclass(frozen=True, kw_only=True)
class UpgradeConfig:
    """Take over indexes that an earlier fusemix has made, without embedding anything again."""

    folders: list[Location] = field(default_factory=list, metadata=BARE)
    """Of indexes. Each stays as it is until what takes its place is whole."""

    def __post_init__(self) -> None:
        """Check what can be checked without data."""
        if not self.folders:
            raise ConfigError("upgrade_index needs at least one folder: fusemix upgrade-index indexes/photos")


@dataclass(frozen=True, kw_only=True)
class InfoConfig:
    """Say what a folder of fusemix's is, what made it, and what is in it."""

    folders: list[Location] = field(default_factory=list, metadata=BARE)
    """Of latent sets, latent stores, runs, indexes, reports or exports."""

    def __post_init__(self) -> None:
        """Check what can be checked without data."""
        if not self.folders:
            raise ConfigError("info needs at least one folder: fusemix info latents/glyphs/train")


@dataclass(frozen=True, kw_only=True)
class DoctorConfig:
    """Say which packages, devices and back ends are usable here."""


@dataclass(frozen=True, kw_only=True)
class CompletionConfig:
    """Print what completes commands, settings and names of parts in a shell."""

    shell: list[str] = field(default_factory=list, metadata=BARE)
    """One of bash, zsh and fish."""

    def __post_init__(self) -> None:
        """Check what can be checked without data."""
        if len(self.shell) != 1 or self.shell[0] not in SHELLS:
            raise ConfigError(f"name a shell, as in: fusemix completion bash. Known: {', '.join(SHELLS)}.")
