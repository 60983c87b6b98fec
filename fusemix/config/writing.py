"""What all commands that write have in common.

Place in the flow: see fusemix/config/__init__.py. Where a command writes is a setting of its own, `out`.
"""

from dataclasses import dataclass

from fusemix.config.checks import MOST_WAIT
from fusemix.parts.ranges import within


@dataclass(frozen=True, kw_only=True)
class WritingConfig:
    """What becomes of what is there already, and of others who write there."""

    overwrite: bool = False
    """Replace what fusemix wrote there before, once the new is whole; refused where other files lie among it."""
    wait_sec: float = 0.0
    """Seconds to wait for another process that writes there; 0 refuses at once."""

    def __post_init__(self) -> None:
        """Check what can be checked without data."""
        within("wait_sec", self.wait_sec, 0.0, MOST_WAIT)
