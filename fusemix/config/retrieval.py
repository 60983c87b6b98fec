"""Settings of evaluation.

Place in the flow: see fusemix/config/__init__.py.
"""

from dataclasses import dataclass, field
from typing import Literal

from fusemix.config.checks import at_least
from fusemix.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """Stage 3: measure retrieval with a trained run on a latent set."""

    run: str
    """Folder of the training run."""
    checkpoint: Literal["best", "last"] = "best"
    """Best on validation, or the last epoch."""
    latents: str
    """Folder of the latent set to measure on."""
    out: str
    """Report folder."""
    ks: list[int] = field(default_factory=lambda: [1, 5, 10])
    """How deep recall looks."""
    num_examples: int = 4
    """Sample queries a direction in the picture; 0 draws none."""
    device: str = "auto"
    """auto (a GPU where there is one), cpu, cuda, cuda:1, mps."""
    seed: int = 0
    """Chooses the sample queries."""

    def __post_init__(self) -> None:
        """Check what can be checked without data."""
        if not self.ks or min(self.ks) < 1:
            raise ConfigError(f"ks must hold whole numbers from 1 upwards, not {self.ks}.")
        at_least("num_examples", self.num_examples, 0)
