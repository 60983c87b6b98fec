"""Settings of classification by prompts.

Place in the flow: see fusemix/config/__init__.py.
"""

from dataclasses import dataclass, field
from typing import Literal

from fusemix.config.checks import MOST_WAIT
from fusemix.errors import ConfigError
from fusemix.parts.kinds import Location
from fusemix.parts.ranges import within


@dataclass(frozen=True, kw_only=True)
class ZeroShotConfig:
    """Classify the items of a labelled latent set by the prompts of its classes."""

    run: Location | None = None
    """Folder of the training run; null compares latents that share a space already, such as CLIP's."""
    checkpoint: Literal["best", "last"] = "best"
    """Best on validation, or the last epoch."""
    latents: Location
    """Folder of the latent set: items on the left, prompts of their classes on the right."""
    encoders: dict[str, list[str]] = field(default_factory=dict)
    """Only without a run: modality -> names of latent stores, whose latents are compared as they are."""
    out: Location
    """Report folder."""
    device: str = "auto"
    """auto (a GPU where there is one), cpu, cuda, cuda:1, mps."""
    trust_code: bool = False
    """Run code that the run names, where its adapters are not fusemix's own."""
    overwrite: bool = False
    """Replace a report of another run, checkpoint, set or protocol that is in `out`, once the new one is whole."""
    wait_sec: float = 0.0
    """Seconds to wait for another process that writes in out; 0 refuses at once."""

    def __post_init__(self) -> None:
        """Check what can be checked without data."""
        within("wait_sec", self.wait_sec, 0.0, MOST_WAIT)
        if bool(self.run) == bool(self.encoders):
            raise ConfigError(
                "give either run=FOLDER, whose encoders are known, or run=null with encoders, such as "
                "'encoders={image: [clip_image], text: [clip_text]}'."
            )
