"""Settings of what makes latents or hands them over: caching, export, import.

Place in the flow: see fusemix/config/__init__.py.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from fusemix.config.checks import (
    MOST_ITEMS,
    MOST_PROCESSES,
    distinct,
    or_auto,
    require_folder_name,
    require_one_folder,
)
from fusemix.config.compute import ComputeConfig
from fusemix.config.parts import PartConfig
from fusemix.config.typed import Noted
from fusemix.config.writing import WritingConfig
from fusemix.disk.shares import Share, share_of
from fusemix.errors import ConfigError
from fusemix.parts.kinds import Location, Place
from fusemix.parts.ranges import within


@dataclass(frozen=True, kw_only=True)
class CacheConfig(WritingConfig):
    """Stage 1: run frozen encoders once over a data set and keep their latents."""

    dataset: PartConfig
    """Which data set, and where it lies."""
    splits: list[str]
    """Splits to cache; each becomes a latent set in the folder <out>/<split>."""
    encoders: dict[str, PartConfig]
    """Encoders by a name of your own, which becomes the folder of their latents."""
    out: Location
    """Folder that receives one latent set a split."""
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    """Where to compute. All machines must see the folder `out`."""
    batch_size: int | str = 64
    """Items in one pass of an encoder; auto measures which size is fastest. Halved where memory does not suffice."""
    num_workers: int | str = "auto"
    """Processes beside each device that read and decode; auto shares out the cores, 0 does without."""
    shard_size: int = 8192
    """Rows in one file of latents."""
    dtype: Literal["float16", "float32"] = "float16"
    """How latents are stored."""
    max_bad_fraction: float = 0.1
    """Stop when a larger share of the items read so far could not be used."""
    verify: bool = False
    """Read finished shards and all media back first, and make shards again that have changed, or whose media have."""
    retry_rejected: bool = False
    """Give items that finished shards have set aside another chance; everything else stays as it is."""
    accept: list[str] = field(default_factory=list)
    """Fields of a store's fingerprint that may differ, since you know that the latents do not: [encoder.model]."""
    dry_run: bool = False
    """Load everything, show the data and estimate what it takes, as `fusemix check` does; nothing is written."""
    part: str | None = None
    """i/n, such as 3/16: write every n-th shard alone, beside other jobs that write theirs; the last one seals."""

    @property
    def share(self) -> Share | None:
        """What `part` means; None means all shards."""
        return share_of(self.part) if self.part is not None else None

    def __post_init__(self) -> None:
        """Check what can be checked without data."""
        super().__post_init__()
        self._check_part()
        within("shard_size", self.shard_size, 1, MOST_ITEMS)
        or_auto("batch_size", self.batch_size, 1, MOST_ITEMS)
        or_auto("num_workers", self.num_workers, 0, MOST_PROCESSES)
        within("max_bad_fraction", self.max_bad_fraction, 0.0, 1.0)
        if not self.splits:
            raise ConfigError("splits is empty. Name at least one, for example splits=[train,validation,test].")
        distinct("splits", self.splits)
        for split in self.splits:
            require_one_folder("splits", split)
        if not self.encoders:
            raise ConfigError("encoders is empty. Name at least one, for example encoders.bge.name=transformers_text.")
        for slug in self.encoders:
            require_folder_name(f"encoders.{slug}", slug)

    def _check_part(self) -> None:
        try:
            share = self.share
        except ValueError as error:
            raise ConfigError(f"part: {error}.") from error
        others = ("overwrite", "verify", "retry_rejected")
        if share and (found := [key for key in others if getattr(self, key)]):
            raise ConfigError(
                f"part={self.part} cannot be given with {found[0]}=true, which is about all shards: give that to one "
                "command without part, before these jobs or after them."
            )


@dataclass(frozen=True, kw_only=True)
class EmbeddingsExportConfig(WritingConfig):
    """Write a latent set, or a model's embeddings of it, in clip-retrieval's layout, for other tools."""

    latents: Location
    """Folder of the latent set."""
    encoders: dict[str, list[str]] = field(default_factory=dict)
    """For each modality the latents to write; several are concatenated. Not together with model."""
    model: Location | None = None
    """Folder of a trained run: writes the embeddings of its best adapters, which share one space."""
    out: Place
    """Folder or URL that receives img_emb/ (or audio_emb/), text_emb/ and metadata/."""
    rows_per_file: int = 100_000
    """Links in one file; no more than one file is held in memory."""
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    """Where to compute, on one device."""
    trust_code: bool = False
    """Run code that the model names, where its adapters are not fusemix's own."""

    def __post_init__(self) -> None:
        """Check what can be checked without data."""
        super().__post_init__()
        self.compute.require_one()
        within("rows_per_file", self.rows_per_file, 1, MOST_ITEMS)
        if bool(self.encoders) == bool(self.model):
            raise ConfigError("give either encoders={image: [a], text: [b]} or model=RUN: what is to be written?")


@dataclass(frozen=True, kw_only=True)
class ImportConfig(WritingConfig):
    """Take latents that exist already: one side into a latent set, or clip-retrieval's layout as a new set."""

    latents: Location | None = None
    """Folder of the latent set that receives the vectors, as latents of one modality."""
    modality: str | None = None
    """Side of the set that they belong to."""
    vectors: Place | None = None
    """One .npy file (rows, dim), or a folder of them, read in the order of the numbers in their names."""
    ids: Place | None = None
    """Item of each row: .txt (one id a line), .json (a list), .csv or .parquet (column id)."""
    clip_retrieval: Place | None = None
    """Instead: a folder in clip-retrieval's layout, which becomes a whole latent set. Like latents and ids, it may be a
    URL, which is fetched to this machine for as long as the import takes."""
    out: Location | None = None
    """Folder that receives that set as <out>/<split>."""
    dataset: str | None = None
    """Name of its data set."""
    split: str | None = None
    """Its split: train, validation, test or a word of your own."""
    name: str = "imported"
    """Name of the encoder, which becomes the folder of its latents."""
    made_by: Any = field(default=None, metadata={"kind": Noted})
    """What you know of the encoder, as text or mapping, such as {model: m, revision: r}."""
    dtype: Literal["float16", "float32"] = "float16"
    """How latents are stored."""
    max_bad_fraction: float = 0.1
    """Stop when a larger share of the items looked at so far has no usable vector."""

    def __post_init__(self) -> None:
        """Check what can be checked without data."""
        super().__post_init__()
        one = [self.latents, self.modality, self.vectors, self.ids]
        whole = [self.clip_retrieval, self.out, self.dataset, self.split]
        if (all(one), any(whole)) != (True, False) and (any(one), all(whole)) != (False, True):
            raise ConfigError(
                "give either latents, modality, vectors and ids, or clip_retrieval, out, dataset and split."
            )
        within("max_bad_fraction", self.max_bad_fraction, 0.0, 1.0)
        require_folder_name(f"name={self.name}", self.name)
        if self.split is not None:
            require_one_folder("split", self.split)
