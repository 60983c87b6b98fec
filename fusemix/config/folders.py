"""Settings of commands that take bare words: paths of what other commands have written, or a shell.

Place in the flow: see fusemix/config/__init__.py.
"""

from dataclasses import dataclass, field
from typing import Literal

from fusemix.config.checks import MOST_WAIT
from fusemix.config.shapes import BARE
from fusemix.errors import ConfigError
from fusemix.parts.kinds import Location
from fusemix.parts.ranges import within

SHELLS = ("bash", "zsh", "fish")


@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """Put runs side by side: their figures, and how each differs from the first."""

    reports: list[Location] = field(default_factory=list, metadata=BARE)
    """Report folders (or report.json files); the others are compared with the first."""
    out: Location = "reports/comparison"
    """Folder that receives the comparison."""
    overwrite: bool = False
    """Replace another comparison, or one of other reports, that is in `out`."""
    wait_sec: float = 0.0
    """Seconds to wait for another process that writes in out; 0 refuses at once."""

    def __post_init__(self) -> None:
        """Check what can be checked without data."""
        within("wait_sec", self.wait_sec, 0.0, MOST_WAIT)
        if not self.out:
            raise ConfigError("out= names no folder. Write out=FOLDER, or leave it out.")
        if len(self.reports) < 2:
            raise ConfigError("compare needs at least two reports: fusemix compare reports/first reports/second")


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """Print reports as one table for a paper."""

    reports: list[Location] = field(default_factory=list, metadata=BARE)
    """Report folders (or report.json files); each is a row."""
    format: Literal["markdown", "latex"] = "markdown"
    """What the table is written in."""

    def __post_init__(self) -> None:
        """Check what can be checked without data."""
        if not self.reports:
            raise ConfigError("report needs at least one report: fusemix report --format latex reports/glyphs")


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
