"""Settings of choosing pairs.

Place in the flow: see fusemix/config/__init__.py.
"""

from dataclasses import dataclass, field
from typing import Literal

from fusemix.config.checks import MOST_ITEMS, MOST_SEED
from fusemix.config.compute import ComputeConfig
from fusemix.config.shapes import BARE_OR_FILES
from fusemix.config.writing import WritingConfig
from fusemix.errors import ConfigError
from fusemix.parts.kinds import Location, Place
from fusemix.parts.ranges import within

MOST_CLUSTERS = 100_000
MOST_GRAPH_NEIGHBOURS = 1000
"""More would be no graph of nearest neighbours any more."""


@dataclass(frozen=True, kw_only=True)
class SelectConfig(WritingConfig):
    """Choose some pairs of a latent set, and write them as a set of links, which copies no latents."""

    latents: Location = field(metadata=BARE_OR_FILES)
    """Folder of the latent set to choose from."""
    out: Place
    """Folder of the subset; it names the other one, so the two move together."""
    size: int
    """Pairs to choose."""
    method: Literal["auto", "uniform", "kdpp", "density", "facility", "filter"] = "auto"
    """uniform: at random. kdpp: the most diverse (greedy k-DPP). density: from each cluster as many as its complexity
    asks for. facility: those that stand for all others. filter: those whose sides agree most under `model`. auto: kdpp
    for at most 20,000 of less than a million pairs, else density."""
    modality: str | None = None
    """Side whose latents are compared; null: the left one. For kdpp, density and facility."""
    encoders: dict[str, list[str]] = field(default_factory=dict)
    """Modality -> latent stores, side by side; empty: all that the set has. A pair that lacks a latent is not taken."""
    model: Location | None = None
    """Run or exported model whose embeddings of the two sides are compared; for filter."""
    clusters: int | None = None
    """For density; null: 100, fewer in a small set."""
    neighbours: int = 20
    """Nearest neighbours that an item may be stood for by; for facility."""
    parts: int | None = None
    """Clusters that kdpp chooses in first, and then among what it chose; null: as many as memory asks for, most often
    1, which is exact."""
    seed: int = 0
    """Of all that is drawn: pairs of uniform, clusters, and which pair of a chosen item is taken."""
    trust_code: bool = False
    """Run code that the model names, where its adapters are not fusemix's own."""
    compute: ComputeConfig = field(default_factory=lambda: ComputeConfig(devices="1"))
    """Where the model embeds, for filter."""

    def __post_init__(self) -> None:
        """Check what can be checked without data."""
        super().__post_init__()
        self.compute.require_one()
        within("size", self.size, 1, MOST_ITEMS)
        within("neighbours", self.neighbours, 1, MOST_GRAPH_NEIGHBOURS)
        within("seed", self.seed, 0, MOST_SEED)
        for key in ("clusters", "parts"):
            value = getattr(self, key)
            if value is not None:
                within(key, value, 1, MOST_CLUSTERS)
        if (self.model is None) == (self.method == "filter"):
            raise ConfigError(
                "method=filter compares the two sides of a pair by a model: give model=FOLDER."
                if self.model is None
                else f"model={self.model} is for method=filter alone. Leave it out, or set method=filter."
            )
