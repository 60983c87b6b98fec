"""Settings: what can be set, its defaults, and how they are read.

Place in the flow: dataclass defaults < yaml files, left to right < key=value -> a frozen dataclass.
Not here: what the settings mean to a part (its factory's signature), or wiring (build/).
The text under a field is what `--help` prints for it. Paths are strings: a Path would be written to
yaml as a Python object.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from fusemix.errors import ConfigError

Config = TypeVar("Config")


@dataclass(frozen=True, kw_only=True)
class PartConfig:
    """A part by its short name, or a user's own as `module:factory`, with its options."""

    name: str
    """Short name, or module:factory."""
    options: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of its factory; unknown ones are refused."""


@dataclass(frozen=True, kw_only=True)
class CacheConfig:
    """Stage 1: run frozen encoders once over a data set and keep their latents."""

    dataset: PartConfig
    """Which data set, and where it lies."""
    splits: list[str]
    """Splits to cache; each becomes a latent set in the folder <out>/<split>."""
    encoders: dict[str, PartConfig]
    """Encoders by a name of your own, which becomes the folder of their latents."""
    out: str
    """Folder that receives one latent set a split."""
    accelerator: str = "auto"
    """auto (GPUs where there are any), cpu, gpu or mps, as Lightning names them."""
    devices: str = "auto"
    """How many (2), or which (0,3); auto takes all GPUs, or one CPU process. Each has a process of its own."""
    num_nodes: int = 1
    """Machines that share the work, and the folder `out`."""
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
    overwrite: bool = False
    """Discard what is in the way: latents of other data, or of another encoder."""
    verify: bool = False
    """Read finished shards back first, and make those anew whose content has changed."""

    def __post_init__(self) -> None:
        """Check what can be checked without data."""
        _at_least("shard_size", self.shard_size, 1)
        _at_least("num_nodes", self.num_nodes, 1)
        for key, value, least in (("batch_size", self.batch_size, 1), ("num_workers", self.num_workers, 0)):
            if not isinstance(value, str):
                _at_least(key, value, least)
            elif value != "auto":
                raise ConfigError(f"{key} is {value!r}, but must be a whole number or auto.")
        _within("max_bad_fraction", self.max_bad_fraction, 0.0, 1.0)
        if not self.splits:
            raise ConfigError("splits is empty. Name at least one, for example splits=[train,validation,test].")
        if not self.encoders:
            raise ConfigError("encoders is empty. Name at least one, for example encoders.bge.name=transformers_text.")
        for slug in self.encoders:
            require_folder_name(f"encoders.{slug}", slug)


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """AdamW, linear warm-up, then cosine."""

    lr: float = 1e-3
    """Peak learning rate."""
    min_lr: float = 1e-6
    """Where the warm-up starts and the cosine ends."""
    weight_decay: float = 0.1
    """On weight matrices only, never on biases, norms or the temperature."""
    warmup_steps: int = 100
    """Steps of linear warm-up."""
    batch_size: int = 4096
    """Pairs that the loss sees in a step. With mixup twice as many are loaded to make them."""
    max_epochs: int = 100
    """Passes over the links of the training set."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Stage 2: train small adapters on cached latents."""

    train: str
    """Folder of the latent set to train on."""
    validation: str | None = None
    """Folder of the latent set on which the best epoch is chosen; never a test split."""
    holdout: float = 0.0
    """Share of train's links to choose on instead, when there is no validation set."""
    encoders: dict[str, list[str]]
    """For each modality the latents that stand for its items; several are concatenated."""
    embedding_dim: int = 512
    """Width of the shared space."""
    adapter: PartConfig = field(default_factory=lambda: PartConfig(name="residual_mlp"))
    """Map from a modality's latents to the shared space; every modality gets its own."""
    loss: PartConfig = field(default_factory=lambda: PartConfig(name="info_nce"))
    """Contrastive loss."""
    temperature: float = 0.07
    """Where the learned temperature starts; it stays within [0.001, 0.5]."""
    mixup_alpha: float = 1.0
    """FuseMix: weights are drawn from Beta(alpha, alpha); 0 trains on plain pairs."""
    optim: OptimConfig = field(default_factory=OptimConfig)
    """Optimiser and schedule."""
    accelerator: str = "auto"
    """auto, cpu, gpu or mps, as Lightning names them."""
    precision: str = "auto"
    """auto (bf16-mixed on a GPU, else 32-true), or a precision of Lightning's."""
    seed: int = 0
    """Fixes weights, order of pairs, mixing and dropout."""
    out: str
    """Run folder: config, environment, metrics, checkpoints."""
    resume: bool = False
    """Insist on continuing: an error where `out` holds no unfinished run."""
    overwrite: bool = False
    """Discard the run that is in `out`."""

    def __post_init__(self) -> None:
        """Check what can be checked without data."""
        _at_least("optim.batch_size", self.optim.batch_size, 2)
        _at_least("optim.max_epochs", self.optim.max_epochs, 1)
        _at_least("embedding_dim", self.embedding_dim, 1)
        _within("temperature", self.temperature, 0.001, 0.5)
        _within("holdout", self.holdout, 0.0, 0.5)
        _at_least("mixup_alpha", self.mixup_alpha, 0.0)
        if (self.validation is None) == (self.holdout == 0.0):
            raise ConfigError(
                "the best epoch is chosen on pairs that were not trained on: give either validation=FOLDER "
                "or a holdout, such as holdout=0.1, and not both."
            )
        if self.resume and self.overwrite:
            raise ConfigError("resume continues the run in out and overwrite discards it: give only one of them.")
        if len(self.encoders) < 2 or not all(self.encoders.values()):
            raise ConfigError("encoders needs two modalities with at least one encoder each: {image: [a], text: [b]}.")


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
        _at_least("num_examples", self.num_examples, 0)


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """Write a latent set in clip-retrieval's layout, for other tools."""

    latents: str
    """Folder of the latent set."""
    encoders: dict[str, list[str]] = field(default_factory=dict)
    """For each modality the latents to write; several are concatenated. Not together with run."""
    run: str | None = None
    """Folder of a trained run: writes the embeddings of its best adapters, which share one space."""
    out: str
    """Folder that receives img_emb/ (or audio_emb/), text_emb/ and metadata/."""
    rows_per_file: int = 100_000
    """Links in one file; no more than one file is held in memory."""
    overwrite: bool = False
    """Discard the embeddings and metadata that are in `out`."""

    def __post_init__(self) -> None:
        """Check what can be checked without data."""
        _at_least("rows_per_file", self.rows_per_file, 1)
        if bool(self.encoders) == bool(self.run):
            raise ConfigError("give either encoders={image: [a], text: [b]} or run=RUN: what is to be written?")


@dataclass(frozen=True, kw_only=True)
class ImportConfig:
    """Take latents that exist already: one side into a latent set, or clip-retrieval's layout as a new set."""

    set: str | None = None
    """Folder of the latent set that receives the latents of one modality."""
    modality: str | None = None
    """Side of the set that they belong to."""
    latents: str | None = None
    """One .npy file (rows, dim), or a folder of them, read in lexicographic order."""
    ids: str | None = None
    """Item of each row: .txt (one id a line), .json (a list), .csv or .parquet (column id)."""
    clip_retrieval: str | None = None
    """Instead: a folder in clip-retrieval's layout, which becomes a whole latent set."""
    out: str | None = None
    """Folder that receives that set as <out>/<split>."""
    dataset: str | None = None
    """Name of its data set."""
    split: str | None = None
    """Its split: train, validation, test or a word of your own."""
    name: str = "imported"
    """Name of the encoder, which becomes the folder of its latents."""
    made_by: Any = None
    """What you know of the encoder, as text or mapping, such as {model: m, revision: r}."""
    dtype: Literal["float16", "float32"] = "float16"
    """How latents are stored."""
    max_bad_fraction: float = 0.1
    """Stop when a larger share of the items looked at so far has no usable latent."""
    overwrite: bool = False
    """Discard what is in the way: latents from other files, or another set."""


def require_folder_name(key: str, name: str) -> None:
    """Refuse a name of the user's that cannot become a folder."""
    if not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise ConfigError(f"{key}: a name becomes a folder; use letters, digits, '-', '_' and '.'.")


def _at_least(key: str, value: int | float, least: int | float) -> None:
    if value < least:
        raise ConfigError(f"{key} is {value}, but must be at least {least}.")


def _within(key: str, value: int | float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise ConfigError(f"{key} is {value}, but must lie between {least} and {most}.")


def load_config(schema: type[Config], arguments: Sequence[str]) -> Config:
    """Merge yaml files and `key=value` over a schema's defaults.

    Args:
        schema: one of the dataclasses above.
        arguments: yaml files and `key=value`, in any order; later files win, and `key=value` wins over files.

    Raises:
        ConfigError: a file is missing or not yaml, a key is unknown, a value has the wrong type.
    """
    config = cast(DictConfig, OmegaConf.structured(schema))
    for argument in sorted(arguments, key=lambda argument: "=" in argument):  # stable: files first
        config = _merge(config, argument)
    try:
        return cast(Config, OmegaConf.to_object(config))
    except OmegaConfBaseException as error:
        if isinstance(error.__cause__, ConfigError):
            raise error.__cause__ from None
        raise ConfigError(_explain(" ".join(arguments) or schema.__name__, error)) from error


def _merge(config: DictConfig, argument: str) -> DictConfig:
    if "=" not in argument and not Path(argument).is_file():
        raise ConfigError(f"there is no config file {argument}. Settings are given as key=value.")
    try:
        changes = OmegaConf.from_dotlist([argument]) if "=" in argument else OmegaConf.load(argument)
        return cast(DictConfig, OmegaConf.merge(config, changes))
    except (OmegaConfBaseException, YAMLError, ValueError, TypeError) as error:
        raise ConfigError(_explain(argument, error)) from error


def _explain(where: str, error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if "_type=" not in line and line.strip()]
    if "missing mandatory value" in lines[0].lower():
        key = lines[0].rpartition(":")[2].strip()
        return f"the setting {key!r} has no value. Give it in a yaml file, or as {key}=… on the command line."
    return f"{where}: " + "\n".join(lines)


def to_plain(config: object) -> dict[str, Any]:
    """A config as nested dicts, lists and numbers, which yaml, JSON and checkpoints can hold."""
    return cast(dict[str, Any], OmegaConf.to_container(OmegaConf.structured(config)))
