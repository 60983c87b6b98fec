"""Settings of evaluation.

Place in the flow: see fusemix/config/__init__.py.
"""

from dataclasses import dataclass, field
from typing import Literal

from fusemix.config.checks import MOST_PROCESSES, MOST_SEED, MOST_WAIT, distinct
from fusemix.errors import ConfigError
from fusemix.parts.kinds import Location
from fusemix.parts.ranges import within

MOST_EXAMPLES = 1000
"""Pictures and sounds of more would not go into one page."""


@dataclass(frozen=True, kw_only=True)
class BaselineConfig:
    """What the model is compared with, on the same items by the same code."""

    train: Location | None = None
    """Latent set that a linear map (regularised CCA) is fitted on. Without one, latents are compared as they are, which
    is for encoders that share a space already, such as the two of a CLIP."""
    encoders: dict[str, list[str]] = field(default_factory=dict)
    """Modality -> latent stores of the evaluated set, as in {image: [clip], text: [clip_text]}; empty: the run's."""


@dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """Stage 3: measure retrieval with a trained run on a latent set."""

    run: Location
    """Folder of the training run."""
    checkpoint: Literal["best", "last"] = "best"
    """Best on validation, or the last epoch."""
    latents: Location
    """Folder of the latent set to measure on."""
    out: Location
    """Report folder."""
    protocol: str = "auto"
    """flickr30k_1k, coco_5k, coco_1k (five folds), audiocaps, audiocaps_2, clotho, or plain (any set); auto goes by the
    data set and its edition."""
    allow_other_counts: bool = False
    """Measure a set that has not as many items as the protocol's; the report states the counts."""
    ks: list[int] = field(default_factory=lambda: [1, 5, 10])
    """How deep recall looks."""
    baselines: dict[str, BaselineConfig] = field(default_factory=dict)
    """What stands beside the model in the table, by a name of your own."""
    corrections: bool = True
    """Rows with hubs corrected beside the plain ones; false leaves them out, and with them half of the work."""
    bank: Location | None = None
    """Latent set of training queries for the query-bank correction of hubs; never the set that is measured."""
    indexes: dict[str, str] = field(default_factory=dict)
    """FAISS factory -> search parameters, such as {"IVF256,Flat": nprobe=16}: what such an index loses and gains."""
    num_examples: int = 6
    """Queries of each kind (best, typical, worst) a direction that the page shows, with what they found."""
    accelerator: str = "auto"
    """auto (GPUs where there are any), cpu, gpu or mps, as Lightning names them."""
    devices: str = "1"
    """How many (2), or which (0,3), share the work; the numbers do not depend on it."""
    num_nodes: int = 1
    """Machines that share the work."""
    seed: int = 0
    """Of bootstrap samples and of what is drawn for charts."""
    trust_code: bool = False
    """Run code that the run names as its adapter, or the latent set as the data set that its items are shown from."""
    overwrite: bool = False
    """Replace a report of another run, checkpoint, set or protocol that is in `out`, once the new one is whole."""
    wait_sec: float = 0.0
    """Seconds to wait for another process that writes in out; 0 refuses at once."""

    def __post_init__(self) -> None:
        """Check what can be checked without data."""
        within("wait_sec", self.wait_sec, 0.0, MOST_WAIT)
        if not self.ks or min(self.ks) < 1:
            raise ConfigError(f"ks must hold whole numbers from 1 upwards, not {self.ks}.")
        distinct("ks", self.ks)
        within("num_examples", self.num_examples, 0, MOST_EXAMPLES)
        within("num_nodes", self.num_nodes, 1, MOST_PROCESSES)
        within("seed", self.seed, 0, MOST_SEED)
        if self.bank and not self.corrections:
            raise ConfigError(
                "bank is for a correction, and corrections=false leaves them out. Leave out one of the two."
            )
        for name, baseline in self.baselines.items():
            if not baseline.train and not baseline.encoders:
                raise ConfigError(
                    f"baselines.{name}: give train, a latent set that a linear map is fitted on, or encoders whose "
                    "latents share a space."
                )


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
