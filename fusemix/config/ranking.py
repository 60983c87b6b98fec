"""Settings of the choice between encoders.

Place in the flow: see fusemix/config/__init__.py.
"""

from dataclasses import dataclass, field

from fusemix.config.checks import MOST_SEED, distinct
from fusemix.config.shapes import BARE_OR_FILES
from fusemix.config.writing import WritingConfig
from fusemix.errors import ConfigError
from fusemix.parts.kinds import Location
from fusemix.parts.ranges import within

FEWEST_PAIRS, MOST_PAIRS = 50, 50_000
"""Fewer tell nothing, and every pair is compared with every other one."""
MOST_NEIGHBOURS = 1000


@dataclass(frozen=True, kw_only=True)
class RankConfig(WritingConfig):
    """Compare the encoders of a latent set before anything is trained."""

    latents: Location = field(metadata=BARE_OR_FILES)
    """Folder of the latent set, with some latent stores on each side."""
    encoders: dict[str, list[str]] = field(default_factory=dict)
    """Modality -> names of latent stores to look at, as in {image: [dinov2, clip]}; of a modality that is not named,
    all."""
    num_pairs: int = 5000
    """Links that are drawn at most, no two of which share an item."""
    k: int = 10
    """Neighbours of each item that two encoders are asked to agree on."""
    labels: str | None = None
    """Column of an item table, or of a caption file, that says what items are about: numbers, categories, or several
    of these with ; between. null: usual words of texts, where a side is text."""
    out: Location | None = None
    """Folder that receives the table, the picture and JSON; null prints the table alone."""
    seed: int = 0
    """Of the links that are drawn, of folds and of what intervals are of."""

    def __post_init__(self) -> None:
        """Check what can be checked without data."""
        super().__post_init__()
        within("num_pairs", self.num_pairs, FEWEST_PAIRS, MOST_PAIRS)
        within("k", self.k, 1, MOST_NEIGHBOURS)
        within("seed", self.seed, 0, MOST_SEED)
        if not self.latents:
            raise ConfigError("latents= names no folder: fusemix rank-encoders latents/train")
        for modality, names in self.encoders.items():
            distinct(f"encoders.{modality}", names)
            if not names:
                raise ConfigError(f"encoders.{modality} names no latent store. Name some, or leave {modality} out.")
