"""Settings of making an index, of searching it, and of the page that does.

Place in the flow: see fusemix/config/__init__.py.
"""

from dataclasses import dataclass, field
from typing import Literal

from fusemix.config.checks import MOST_ITEMS, MOST_PROCESSES, or_auto
from fusemix.config.compute import ComputeConfig
from fusemix.config.parts import PartConfig
from fusemix.config.shapes import BARE
from fusemix.config.writing import WritingConfig
from fusemix.errors import ConfigError
from fusemix.parts.kinds import Location, Place
from fusemix.parts.ranges import within

MOST_RESULTS = 1000
NEAR = 0.95
"""Least cosine of near duplicates; how it was found is in docs/searching.md."""
MOST_WIDTH = 1 << 20
"""Of embeddings."""
PRECISIONS = ("float32", "float16")
"""Of the vectors of an index."""


@dataclass(frozen=True, kw_only=True)
class IndexConfig(WritingConfig):
    """Embed a folder or a latent set, and keep what was embedded so that it can be searched."""

    model: Place | None = None
    """Run folder, exported model, URL of one, or name on the hub; null: that of the index."""
    checkpoint: Literal["best", "last"] = "best"
    """Of a run: best on validation, or the last epoch."""
    data: Place | None = None
    """Folder of pictures or sounds, also behind a URL."""
    latents: Location | None = None
    """Instead: folder of a latent set, or of several."""
    modality: str | None = None
    """What to index: of a folder, image or audio, where it holds both; of a latent set, one of its sides (by default
    the one that is not text)."""
    follow_links: bool = False
    """Of a folder, index what links lead to outside of it, too, instead of setting them aside."""
    encoders: dict[str, PartConfig] = field(default_factory=dict)
    """Encoders by the names of the latents that they made, where the run does not know what builds them, or they moved.
    The index notes them, so that it can be searched."""
    out: Location
    """Index folder. What is there already is added to; items that it holds are passed over."""
    prefix: str | None = None
    """What ids of the folder's items begin with; null: its name. Two folders of one name need another for one."""
    sync: bool = False
    """Follow data, or all folders that the index has: files that are gone leave, others are embedded again where their
    content is another, new ones join."""
    remove_most: bool = False
    """With sync, let items leave though more than half of a folder's files are gone; a folder may be unmounted."""
    remove: list[str] = field(default_factory=list)
    """Ids of items to remove, at once and for good; with * at the end, all that begin so."""
    relocate: list[str] = field(default_factory=list)
    """OLD=NEW: folders of the index that lay at or below OLD lie at NEW now; nothing is embedded again."""
    dim: int | None = None
    """How many numbers of each embedding are kept, from the first; null: as in the index, and in a new one all."""
    precision: str | None = None
    """Of these numbers: float32 or float16; null: as in the index, and in a new one float32."""
    hub_correction: bool = True
    """In a new index, keep what corrects hubs where the model knows its hubs and validation wanted it, and what brings
    modalities to one height: its searches rank by that. false keeps cosines alone."""
    thumbnails: bool = True
    """Keep of each picture a small one, about 15 kB, and of each sound its outline, so that results are shown without
    their files; false keeps none of what comes now."""
    batch_size: int = 64
    """Items in one pass of an encoder; halved where memory does not suffice."""
    num_workers: int | str = "auto"
    """Processes that read and decode; auto takes one for each core but one, 0 does without."""
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    """Where to compute, on one device."""
    trust_code: bool = False
    """Run code that the model names, where its adapters or encoders are not fusemix's own; a refusal says which. What
    is given in encoders runs anyway."""
    dry_run: bool = False
    """Say what is new, and how long a sample of it takes; nothing is written."""

    def __post_init__(self) -> None:
        """Check what can be checked without data."""
        super().__post_init__()
        self.compute.require_one()
        within("batch_size", self.batch_size, 1, MOST_ITEMS)
        if self.dim is not None:
            within("dim", self.dim, 1, MOST_WIDTH)
        if self.precision not in (None, *PRECISIONS):
            raise ConfigError(f"precision is {self.precision!r}, but must be one of {', '.join(PRECISIONS)}.")
        or_auto("num_workers", self.num_workers, 0, MOST_PROCESSES)
        self._require_one_deed()

    def _require_one_deed(self) -> None:
        edits = bool(self.remove or self.relocate)
        if edits and (self.data or self.latents or self.sync or self.overwrite):
            raise ConfigError("remove and relocate change an index without data; leave out data, latents and sync.")
        if self.data and self.latents:
            raise ConfigError("give either data=FOLDER, of pictures or sounds, or latents=FOLDER, of a latent set.")
        if not (self.data or self.latents or self.sync or edits):
            raise ConfigError("give either data=FOLDER, of pictures or sounds, or latents=FOLDER, of a latent set.")
        if self.sync and (self.latents or self.overwrite):
            raise ConfigError("sync follows folders of files: give data=FOLDER or nothing, and no overwrite.")
        if self.prefix is not None and not self.data:
            raise ConfigError("prefix is for data=FOLDER.")
        if any("=" not in one for one in self.relocate):
            raise ConfigError("relocate must be OLD=NEW: relocate=[/home/me/Pictures=/mnt/pictures].")


@dataclass(frozen=True, kw_only=True)
class IndexExportConfig(WritingConfig):
    """Hand an index to another engine: its vectors, and what is known of its items."""

    index: Location
    """Index folder."""
    to: Literal["parquet", "qdrant"]
    """parquet: files that most engines read. qdrant: a collection of a Qdrant server, or of its local mode."""
    out: Place
    """Of parquet, the folder that receives the files. Of qdrant, the server, such as http://localhost:6333, whose key
    QDRANT_API_KEY may hold; or a folder, for its local mode."""
    collection: str | None = None
    """Of qdrant, the collection; null: called as the index."""

    def __post_init__(self) -> None:
        """Check what can be checked without data."""
        super().__post_init__()
        if self.collection is not None and self.to != "qdrant":
            raise ConfigError("collection is for to=qdrant.")


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """Search an index by texts, pictures and sounds; several are added up."""

    index: Location
    """Index folder."""
    text: list[str] = field(default_factory=list, metadata=BARE)
    """Texts to search by; bare words are one: single words together, or each that stands in quotes."""
    image: list[Location] = field(default_factory=list)
    """Files of pictures to search by."""
    audio: list[Location] = field(default_factory=list)
    """Files of sounds to search by."""
    like: list[str] = field(default_factory=list)
    """Ids of items in the index to search by."""
    modality: str | None = None
    """What to find, such as image, in an index that holds several, or any; by default any, but no texts where a text
    asks and the index holds something else."""
    filter: list[str] = field(default_factory=list)
    """What must hold of it, as NAME=VALUE: folder=2023/holidays, taken=2023-05..2023-08, camera="Canon EOS 5D", or a
    column of the caption file; one of several where a name is given several times."""
    hub_correction: bool = True
    """Take from scores what the index keeps of hubs; false ranks by cosines."""
    k: int = 10
    """How many items to list."""
    group_duplicates: bool = False
    """List near duplicates, such as the pictures of a burst, as one result."""
    json: bool = False
    """Print JSON instead of a table."""
    model: Place | None = None
    """Where the model lies, when it is not where it was when the index was made."""
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    """Where to compute, on one device."""
    trust_code: bool = False
    """Run code that the model names, where its adapters or encoders are not fusemix's own; a refusal says which."""

    def __post_init__(self) -> None:
        """Check what can be checked without data."""
        self.compute.require_one()
        within("k", self.k, 1, MOST_RESULTS)
        if not (self.text or self.image or self.audio or self.like):
            raise ConfigError('nothing to search for. Write: fusemix search "a dog" --index FOLDER')


@dataclass(frozen=True, kw_only=True)
class DuplicatesConfig:
    """List the items of an index that are near duplicates of one another."""

    folders: list[Location] = field(default_factory=list, metadata=BARE)
    """Of the index."""
    threshold: float = NEAR
    """Least cosine of two items of one modality that are near duplicates."""
    json: bool = False
    """Print JSON, with all ids, instead of a table."""

    def __post_init__(self) -> None:
        """Check what can be checked without data."""
        within("threshold", self.threshold, 0, 1)
        if len(self.folders) != 1:
            raise ConfigError("duplicates needs the folder of one index: fusemix duplicates indexes/photos")


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """Serve a page, and an interface for programs, that search an index."""

    index: Location
    """Index folder."""
    host: str = "127.0.0.1"
    """Address to listen at; 127.0.0.1 is this machine alone, 0.0.0.0 the whole network."""
    allowed_hosts: list[str] = field(default_factory=list)
    """Further names that browsers may call the server by, such as photos.example.org; its own it knows."""
    token: str | None = field(default=None, repr=False)
    """What who asks must bring, 8 characters or more; else the variable FUSEMIX_TOKEN, which other users of this
    machine do not see. Where neither is there, one is made, unless the server is for this machine alone."""
    base_path: str = ""
    """Path that a proxy has the server below, such as /photos."""
    hub_correction: bool = True
    """Take from scores what the index keeps of hubs; false ranks by cosines."""
    port: int = 7860
    """Port to listen at; 0 takes a free one."""
    show_paths: bool = False
    """Tell where on this machine the files of items lie, so that "Copy path" copies what can be opened here. Everybody
    who reaches the server sees it."""
    access_log: bool = False
    """Write a line on each request to stderr: who, what kind, status and time, but not what was asked."""
    max_upload_mb: int = 20
    """Largest picture or sound that may be sent, in MB."""
    model: Place | None = None
    """Where the model lies, when it is not where it was when the index was made."""
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    """Where to compute, on one device."""
    trust_code: bool = False
    """Run code that the model or the index names, where adapters, encoders or data sets are not fusemix's own."""

    def __post_init__(self) -> None:
        """Check what can be checked without data."""
        self.compute.require_one()
        within("port", self.port, 0, 65535)
        within("max_upload_mb", self.max_upload_mb, 1, 1000)
