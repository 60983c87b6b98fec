"""Where to compute: one block of settings, the same in every command that computes.

Place in the flow: see fusemix/config/__init__.py. Not here: whether such a device is there (machine/).
"""

import re
from dataclasses import dataclass, field
from typing import Any

from fusemix.config.checks import MOST_PROCESSES
from fusemix.config.shapes import SHORT
from fusemix.errors import ConfigError
from fusemix.parts.ranges import within

ONE = re.compile(r"auto|1|\d+,")
"""Of `devices`: any one, or one that is named by its number."""


@dataclass(frozen=True, kw_only=True)
class ComputeConfig:
    """Which devices of which machines; each device has a process of its own."""

    accelerator: str = field(default="auto", metadata=SHORT)
    """auto (GPUs where there are any), cpu, gpu or mps, as Lightning names them; compute=cpu says the same."""
    devices: Any = field(default="auto", metadata={"kind": str | list[int]})
    """How many (2), or which ([1], or 0,3); auto takes all GPUs, or one CPU process."""
    num_nodes: int = 1
    """Machines that share the work, under SLURM or torchrun."""

    def __post_init__(self) -> None:
        """Check what can be checked without a device, and write a list of devices as the text that it stands for."""
        within("compute.num_nodes", self.num_nodes, 1, MOST_PROCESSES)
        listed = f"{','.join(map(str, self.devices))}," if isinstance(self.devices, list | tuple) else self.devices
        object.__setattr__(self, "devices", str(listed).strip())
        if self.devices in ("", ","):
            raise ConfigError("compute.devices names no device. Write how many (2), or which ([1]), or leave it out.")

    def require_one(self) -> None:
        """Refuse more than one device; for commands that compute on one.

        Raises:
            ConfigError: several devices or machines are asked for.
        """
        if self.num_nodes > 1 or not ONE.fullmatch(self.devices):
            raise ConfigError(
                f"this command computes on one device, and not on compute.devices={self.devices} of "
                f"compute.num_nodes={self.num_nodes}: leave both out, or name one card, such as compute.devices=[1]."
            )
