"""Settings of making an index, of searching it, and of the page that does.

Place in the flow: see fusemix/config/__init__.py.
"""

from dataclasses import dataclass, field

from fusemix.config.checks import MOST_ITEMS, MOST_PROCESSES, MOST_WAIT
from fusemix.config.parts import PartConfig
from fusemix.config.shapes import BARE
from fusemix.errors import ConfigError
from fusemix.parts.kinds import Location, Place
from fusemix.parts.ranges import within

MOST_RESULTS = 1000


@dataclass(frozen=True, kw_only=True)
class IndexConfig:
    """Embed a folder or a latent set, and keep what was embedded so that it can be searched."""

    model: Place
    """Run folder, exported model, URL of one, or name on the hub."""
    checkpoint: str = "best"
    """Of a run: best or last."""
    data: Place
    """A folder of pictures or sounds, also behind a URL, or a latent set (a folder with set.json)."""
    modality: str | None = None
    """What to index: of a folder, image or audio, where it holds both; of a latent set, one of its sides (by default
    the one that is not text)."""
    follow_links: bool = False
    """Of a folder, index what links lead to outside of it, too, instead of setting them aside."""
    encoders: dict[str, list[PartConfig]] = field(default_factory=dict)
    """Modality -> what builds its encoders, in the order of training; where the run does not know, or they moved. The
    index notes them, so that it can be searched."""
    out: Location
    """Index folder. What is there already is added to; items that it holds are passed over."""
    batch_size: int = 64
    """Items in one pass of an encoder; halved where memory does not suffice."""
    num_workers: int | None = None
    """Processes that read and decode; null takes one for each core but one."""
    device: str = "auto"
    """auto (a GPU where there is one), cpu, cuda, cuda:1, mps."""
    trust_code: bool = False
    """Run code that the model names, where its adapters or encoders are not fusemix's own; a refusal says which. What
    is given in encoders runs anyway."""
    overwrite: bool = False
    """Begin anew; the index in out is discarded when the new one is whole."""
    dry_run: bool = False
    """Say what is new, and how long a sample of it takes; nothing is written."""
    wait_sec: float = 0.0
    """Seconds to wait for another process that writes in out; 0 refuses at once."""

    def __post_init__(self) -> None:
        """Check what can be checked without data."""
        within("wait_sec", self.wait_sec, 0.0, MOST_WAIT)
        within("batch_size", self.batch_size, 1, MOST_ITEMS)
        if self.num_workers is not None:
            within("num_workers", self.num_workers, 0, MOST_PROCESSES)


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
    k: int = 10
    """How many items to list."""
    json: bool = False
    """Print JSON instead of a table."""
    model: Place | None = None
    """Where the model lies, when it is not where it was when the index was made."""
    device: str = "auto"
    """auto (a GPU where there is one), cpu, cuda, cuda:1, mps."""
    trust_code: bool = False
    """Run code that the model names, where its adapters or encoders are not fusemix's own; a refusal says which."""

    def __post_init__(self) -> None:
        """Check what can be checked without data."""
        within("k", self.k, 1, MOST_RESULTS)
        if not (self.text or self.image or self.audio or self.like):
            raise ConfigError('nothing to search for. Write: fusemix search "a dog" --index FOLDER')


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """Serve a page, and an interface for programs, that search an index."""

    index: Location
    """Index folder."""
    host: str = "127.0.0.1"
    """Address to listen at; 127.0.0.1 is this machine alone, 0.0.0.0 the whole network."""
    allowed_hosts: list[str] = field(default_factory=list)
    """Further names that browsers may call the server by, such as photos.example.org; its own it knows."""
    port: int = 7860
    """Port to listen at; 0 takes a free one."""
    show_paths: bool = False
    """Tell where on this machine the files of items lie, so that "Copy path" copies what can be opened here. Everybody
    who reaches the server sees it."""
    max_upload_mb: int = 20
    """Largest picture or sound that may be sent, in MB."""
    model: Place | None = None
    """Where the model lies, when it is not where it was when the index was made."""
    device: str = "auto"
    """auto (a GPU where there is one), cpu, cuda, cuda:1, mps."""
    trust_code: bool = False
    """Run code that the model or the index names, where adapters, encoders or data sets are not fusemix's own."""

    def __post_init__(self) -> None:
        """Check what can be checked without data."""
        within("port", self.port, 0, 65535)
        within("max_upload_mb", self.max_upload_mb, 1, 1000)
