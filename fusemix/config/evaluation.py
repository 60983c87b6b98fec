"""Settings of evaluation.

Place in the flow: see fusemix/config/__init__.py.
"""

from dataclasses import dataclass, field
from typing import Literal

from fusemix.config.checks import MOST_ITEMS, MOST_PROCESSES, MOST_SEED, distinct, or_auto
from fusemix.config.compute import ComputeConfig
from fusemix.config.parts import PartConfig
from fusemix.config.shapes import BARE_OR_FILES
from fusemix.config.writing import WritingConfig
from fusemix.errors import ConfigError
from fusemix.parts.kinds import Location, Place
from fusemix.parts.ranges import within

MOST_EXAMPLES = 1000
"""Pictures and sounds of more would not go into one page."""
MOST_NEIGHBOURS = 1000


@dataclass(frozen=True, kw_only=True)
class BaselineConfig:
    """What the model is compared with, on the same items by the same code."""

    train: Location | None = None
    """Latent set that a linear map (regularised CCA) is fitted on. Without one, latents are compared as they are, which
    is for encoders that share a space already, such as the two of a CLIP."""
    encoders: dict[str, list[str]] = field(default_factory=dict)
    """Modality -> latent stores of the evaluated set, as in {image: [clip], text: [clip_text]}; empty: the model's."""


@dataclass(frozen=True, kw_only=True)
class EvalConfig(WritingConfig):
    """Stage 3: measure retrieval with a trained model on a latent set."""

    model: Location
    """Folder of the training run."""
    checkpoint: Literal["best", "last"] = "best"
    """Best on validation, or the last epoch."""
    latents: Location
    """Folder of the latent set to measure on."""
    more: dict[str, Location] = field(default_factory=dict)
    """Further latent sets, by names of your own: each gets a report of its own below `out`, and one table has every
    direction."""
    judgements: list[Location] = field(default_factory=list)
    """CSV tables of what belongs together between items of these sets: two columns headed by modalities, with ids of
    items or words that they say, as in docs/evaluation.md."""
    same_column: str | None = None
    """A column of item tables, such as code_point of characters and of their spoken names: items of different sets and
    modalities that have one value there belong together."""
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
    hub_correction: bool = False
    """Let headline figures be those with the run's hub constants, which validation chose; the report's title says so.
    Beside plain headline figures they have a row of their own."""
    bank: Location | None = None
    """Latent set of training queries for the query-bank correction of hubs; never the set that is measured."""
    indexes: dict[str, str] = field(default_factory=dict)
    """FAISS factory -> search parameters, such as {"IVF256,Flat": nprobe=16}: what such an index loses and gains."""
    widths: list[int] | None = None
    """Numbers of each embedding, the first ones, by which recall is measured again, in float32 and in int8; null takes
    all and some powers of two where the set is small, and none where it is large."""
    num_examples: int = 6
    """Queries of each kind (best, typical, worst) a direction that the page shows, with what they found."""
    compute: ComputeConfig = field(default_factory=lambda: ComputeConfig(devices="1"))
    """Where to compute; figures do not depend on it."""
    seed: int = 0
    """Of bootstrap samples and of what is drawn for charts."""
    trust_code: bool = False
    """Run code that the model names as its adapter, or the latent set as the data set that its items are shown from."""

    def __post_init__(self) -> None:
        """Check what can be checked without data."""
        super().__post_init__()
        if not self.ks or min(self.ks) < 1:
            raise ConfigError(f"ks must hold whole numbers from 1 upwards, not {self.ks}.")
        distinct("ks", self.ks)
        distinct("widths", self.widths or [])
        if min(self.widths or [1]) < 1:
            raise ConfigError(f"widths must hold whole numbers from 1 upwards, not {self.widths}.")
        within("num_examples", self.num_examples, 0, MOST_EXAMPLES)
        within("seed", self.seed, 0, MOST_SEED)
        if self.bank and not self.corrections:
            raise ConfigError(
                "bank is for a correction, and corrections=false leaves them out. Leave out one of the two."
            )
        if (self.judgements or self.same_column) and not self.more:
            raise ConfigError(
                "judgements and same_column say what belongs together between items of different sets, and there "
                "is one. Name another with more={NAME: FOLDER}."
            )
        if self.more and (self.baselines or self.bank or self.indexes):
            raise ConfigError(
                "baselines, bank and indexes are for one set, and more names others. Measure that set by itself."
            )
        for name, baseline in self.baselines.items():
            if not baseline.train and not baseline.encoders:
                raise ConfigError(
                    f"baselines.{name}: give train, a latent set that a linear map is fitted on, or encoders whose "
                    "latents share a space."
                )


@dataclass(frozen=True, kw_only=True)
class ZeroShotConfig(WritingConfig):
    """Classify the items of a labelled latent set by the prompts of its classes."""

    model: Location | None = None
    """Folder of the training run; null compares latents that share a space already, such as CLIP's."""
    checkpoint: Literal["best", "last"] = "best"
    """Best on validation, or the last epoch."""
    latents: Location
    """Folder of the latent set: items on the left, prompts of their classes on the right."""
    encoders: dict[str, list[str]] = field(default_factory=dict)
    """Only without a model: modality -> names of latent stores, whose latents are compared as they are."""
    out: Location
    """Report folder."""
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    """Where to compute, on one device."""
    trust_code: bool = False
    """Run code that the model names, where its adapters are not fusemix's own."""

    def __post_init__(self) -> None:
        """Check what can be checked without data."""
        super().__post_init__()
        self.compute.require_one()
        if bool(self.model) == bool(self.encoders):
            raise ConfigError(
                "give either model=FOLDER, whose encoders are known, or model=null with encoders, such as "
                "'encoders={image: [clip_image], text: [clip_text]}'."
            )


@dataclass(frozen=True, kw_only=True)
class GenerationEvalConfig(WritingConfig):
    """Judge generated pictures: how near they are to real ones, and how well they agree with their queries."""

    generated: Location
    """Folder of the generated pictures; of one that `fusemix generate` wrote, the pictures that it lists."""
    reference: Location
    """Folder of real pictures, of what the generated ones should look like."""
    encoder: PartConfig = field(default_factory=lambda: PartConfig(name="transformers_image"))
    """What looks at both: any encoder of pictures. transformers_image without options is DINOv2,
    facebook/dinov2-base; its options.model may be a folder."""
    k: int = 5
    """Neighbours by which precision, recall, density and coverage are told."""
    near_copy: float = 0.95
    """Cosine, of what the encoder sees, from which on a generated picture counts as a near copy of a real one."""
    model: Place | None = None
    """Run folder, exported model, URL of one, or name on the hub, in whose space pictures are compared with what they
    were drawn from; null leaves that out."""
    checkpoint: Literal["best", "last"] = "best"
    """Of a run: best on validation, or the last epoch."""
    encoders: dict[str, PartConfig] = field(default_factory=dict)
    """Encoders by the names of the latents that they made, where the run does not know what builds them, or they
    moved."""
    pairs: Location | None = None
    """What each picture was drawn from: a CSV with the columns file, modality and query, or a generated.json. null: the
    generated.json in generated."""
    queries: Location | None = None
    """Folder that the files of queries lie in; null: that of pairs."""
    batch_size: int = 64
    """Items in one pass of an encoder; halved where memory does not suffice."""
    num_workers: int | str = "auto"
    """Processes that read and decode; auto takes one for each core but one, 0 does without."""
    out: Location
    """Report folder."""
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    """Where to compute, on one device."""
    seed: int = 0
    """Of the samples that intervals are of."""
    trust_code: bool = False
    """Run code that the model names, where its adapters or encoders are not fusemix's own; a refusal says which. What
    is given in encoder and encoders runs anyway."""

    def __post_init__(self) -> None:
        """Check what can be checked without data."""
        super().__post_init__()
        self.compute.require_one()
        within("k", self.k, 1, MOST_NEIGHBOURS)
        within("near_copy", self.near_copy, 0.0, 1.0)
        within("batch_size", self.batch_size, 1, MOST_ITEMS)
        or_auto("num_workers", self.num_workers, 0, MOST_PROCESSES)
        within("seed", self.seed, 0, MOST_SEED)
        if (self.pairs or self.queries) and not self.model:
            raise ConfigError(
                "pairs and queries are for model=RUN, in whose space pictures are compared with what they were drawn "
                "from. Give it, or leave them out."
            )


@dataclass(frozen=True, kw_only=True)
class CompareConfig(WritingConfig):
    """Put runs side by side: their figures, and how each differs from the first."""

    reports: list[Location] = field(default_factory=list, metadata=BARE_OR_FILES)
    """Report folders (or report.json files); the others are compared with the first."""
    out: Location = "reports/comparison"
    """Folder that receives the comparison."""

    def __post_init__(self) -> None:
        """Check what can be checked without data."""
        super().__post_init__()
        if not self.out:
            raise ConfigError("out= names no folder. Write out=FOLDER, or leave it out.")
        if len(self.reports) < 2:
            raise ConfigError("compare needs at least two reports: fusemix compare reports/first reports/second")


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """Print reports as one table for a paper."""

    reports: list[Location] = field(default_factory=list, metadata=BARE_OR_FILES)
    """Report folders (or report.json files); each is a row."""
    format: Literal["markdown", "latex"] = "markdown"
    """What the table is written in."""

    def __post_init__(self) -> None:
        """Check what can be checked without data."""
        if not self.reports:
            raise ConfigError("report needs at least one report: fusemix report --format latex reports/glyphs")
