"""Settings of training.

Place in the flow: see fusemix/config/__init__.py.
"""

from dataclasses import dataclass, field
from typing import Literal

from fusemix.config.checks import MOST_FACTOR, MOST_ITEMS, MOST_SEED, distinct, or_auto
from fusemix.config.compute import ComputeConfig
from fusemix.config.parts import PartConfig
from fusemix.config.writing import WritingConfig
from fusemix.errors import ConfigError
from fusemix.parts.kinds import Location
from fusemix.parts.ranges import positive, within
from fusemix.parts.registry import nearest

MOST_DIMS = 1 << 20
MOST_PASSES = 10_000


@dataclass(frozen=True, kw_only=True)
class AutoConfig:
    """What `auto` goes by in optim.batch_size, optim.max_epochs and optim.validate_every."""

    batch_size: int = 1024
    """Pairs a step; fewer where an epoch would have less than two steps."""
    epochs: int = 20
    """Passes over the training set at least."""
    steps: int = 280
    """Steps at least: of a smaller set, more passes."""
    validations: int = 20
    """In the whole run, about."""


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """Pace and rates: linear warm-up, then cosine."""

    lr: float = 1e-3
    """Peak learning rate."""
    min_lr: float = 1e-6
    """Where the warm-up starts and the cosine ends."""
    weight_decay: float = 0.1
    """On weight matrices only, never on biases, norms or the temperature."""
    warmup_steps: int = 100
    """Steps of linear warm-up."""
    clip_norm: float | None = None
    """Longest gradient, over all weights together; longer ones are shortened to it. Not given, none is."""
    batch_size: int | str = 4096
    """Pairs that the loss sees in a step, over all devices; auto fits it to the set. Where halves are mixed twice as
    many are loaded."""
    max_epochs: int | str = 100
    """Passes over the training set, or auto; with several sets, over the first one."""
    validate_every: int | str = 1
    """Epochs from one validation to the next, or auto."""
    auto: AutoConfig = field(default_factory=AutoConfig)
    """What auto goes by."""
    patience: int | None = None
    """Stop early after as many validations in a row without a better one; never, where it is not given."""


@dataclass(frozen=True, kw_only=True)
class SetConfig:
    """One more latent set that is trained on."""

    train: Location
    """Folder of the latent set."""
    validation: Location | None = None
    """Folder of the latent set that it is validated on; its mean recall counts as much as that of the others."""
    holdout: float = 0.0
    """Share of train's links to validate on instead; with neither, this set is not validated."""
    weight: float = 1.0
    """Passes over it while the first set is passed over once."""
    batch_size: int | str = "auto"
    """Pairs of this set in a step; auto takes optim.batch_size, or fits it to this set where that is auto, too."""


@dataclass(frozen=True, kw_only=True)
class StructureConfig:
    """Regulariser for few pairs: what is alike before an adapter stays alike after it (after arXiv:2506.16895)."""

    weight: float = 0.0
    """Of the regulariser beside the loss, added up over both sides; 0 leaves it out. The authors use 10 for the mean of
    both, which is 5 here."""
    form: Literal["jensen_shannon", "published"] = "jensen_shannon"
    """jensen_shannon compares cosines by the divergence of that name; published is what the authors' code does: the
    batch is centred, and the divergence is taken the other way."""
    temperature: float = 0.05
    """Of the similarities that are compared."""
    warmup_steps: int = 0
    """Steps in which the weight rises from 0; the authors use 1000."""


@dataclass(frozen=True, kw_only=True)
class RegressionConfig:
    """Beside the contrastive loss: the squared distance of partners, where one side stays as it is (`identity`)."""

    weight: float = 0.0
    """Of the mean over pairs, each 2 (1 - cosine); 0 leaves it out."""


@dataclass(frozen=True, kw_only=True)
class ClosedFormConfig:
    """Canonical correlation analysis with ridges, whose directions are weighted by a power of their correlation."""

    share: float = 0.0
    """Beside trained adapters: the share of each cosine that is the closed form's, in [0, 1); 0 leaves it out."""
    left_ridge: float | None = None
    """Added to every variance of the left side, in multiples of their mean; chosen on validation where not given."""
    right_ridge: float | None = None
    """The same of the right side."""
    power: float | None = None
    """Directions are weighted by their correlation to this power: 0 is plain CCA; chosen on validation, too."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig(WritingConfig):
    """Stage 2: train small adapters on cached latents."""

    train: Location
    """Folder of the latent set to train on."""
    recipe: str | None = None
    """Where settings come from that are not given: a recipe by name, the path of a yaml file, or auto, which looks at
    the data."""
    validation: Location | None = None
    """Folder of the latent set on which the best epoch is chosen; never a test split. Without it, a part of train is
    held out."""
    holdout: float = 0.0
    """Share of train's links to choose on, where there is no validation set; not given, it goes by their number."""
    also: dict[str, SetConfig] = field(default_factory=dict)
    """More latent sets, under names of your own; each step draws from one set and uses the adapters of its sides."""
    unpaired: dict[str, Location] = field(default_factory=dict)
    """Modality -> folder of a latent set whose items of it are learned from without partners: pictures that nobody
    captioned, texts without pictures. The closed form takes what they resemble most for their partners, and keeps them
    only if validation is better for it."""
    links_per_item: int | None = None
    """Captions of a picture in an epoch: all, each as a pair of its own, or this many at random; several are taken at
    once, as several positives, and pictures that have fewer are left out. (In general: links of a left item.)"""
    latents_on: Literal["auto", "device", "pinned", "mapped"] = "auto"
    """Where latents are kept: on the device, in the host's memory (pinned: batches go to a GPU through pinned buffers),
    on disk (mapped); auto takes the first with room."""
    encoders: dict[str, list[str]]
    """For each modality the latents that stand for its items; several are concatenated."""
    preprocess: list[str] = field(default_factory=list)
    """Steps before mixing and adapters, fitted on train: l2 (one length), standardise (mean 0, variance 1), whiten."""
    embedding_dim: int | str = 512
    """Width of the shared space; auto: that of latents which an adapter leaves as they are, else 512."""
    adapter: PartConfig = field(default_factory=lambda: PartConfig(name="residual_mlp"))
    """Map from a modality's latents to the shared space; every modality gets its own."""
    adapters: dict[str, PartConfig] = field(default_factory=dict)
    """Modality -> another adapter for it."""
    loss: PartConfig = field(default_factory=lambda: PartConfig(name="info_nce"))
    """Contrastive loss."""
    temperature: int | float | str = 0.07
    """Where the learned temperature starts; it stays within [0.001, 0.5]. auto: where the loss of training pairs is
    least before anything is trained, for latents that are aligned already."""
    mixup: PartConfig = field(default_factory=lambda: PartConfig(name="per_batch"))
    """Augmentation of latents: per_batch is FuseMix; none trains on plain pairs."""
    structure: StructureConfig = field(default_factory=StructureConfig)
    """Regulariser for few pairs."""
    regression: RegressionConfig = field(default_factory=RegressionConfig)
    """Onto a side that stays as it is, such as the space that pictures are drawn from."""
    method: Literal["contrastive", "csa"] = "contrastive"
    """contrastive trains step by step; csa solves for linear adapters in closed form, without a training loop: after
    CSA (arXiv:2410.07610), with ridges, and with weights that each side has before it is brought to unit length."""
    closed_form: ClosedFormConfig = field(default_factory=ClosedFormConfig)
    """Canonical correlation analysis: alone (method=csa), to start from (warm_start), or beside the adapters."""
    warm_start: bool = False
    """Let adapters with a linear part (linear, low_rank_residual) start from the closed form."""
    optimizer: PartConfig = field(default_factory=lambda: PartConfig(name="adamw"))
    """What makes steps of gradients: adamw or lion."""
    optim: OptimConfig = field(default_factory=OptimConfig)
    """Pace and rates of the optimiser."""
    logger: list[PartConfig] = field(default_factory=lambda: [PartConfig(name="csv"), PartConfig(name="tensorboard")])
    """Where figures go while it trains: csv, tensorboard, wandb, mlflow, or several; [] for nowhere."""
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    """Where to compute. Devices share each batch, exactly."""
    precision: str = "auto"
    """auto (bf16-mixed where the device multiplies bfloat16 in hardware, else 32-true), or one of Lightning's."""
    compile: bool = False
    """Compile adapters with torch.compile; the first step takes a minute longer."""
    seed: int = 0
    """Fixes weights, order of pairs, mixing and dropout."""
    out: Location
    """Run folder: config, environment, metrics, checkpoints."""
    init_from: Location | None = None
    """A new run that starts from another's weights: its folder or a checkpoint. Modalities it lacks start again."""
    resume: bool = False
    """Insist on continuing the same run: an error where `out` holds no unfinished one."""
    dry_run: bool = False
    """Open the sets, say what would be trained, and time a step; nothing is written."""

    def __post_init__(self) -> None:
        """Check what can be checked without data."""
        super().__post_init__()
        or_auto("embedding_dim", self.embedding_dim, 1, MOST_DIMS)
        if self.links_per_item is not None:
            within("links_per_item", self.links_per_item, 1, MOST_ITEMS)
        or_auto("temperature", self.temperature, 0.001, 0.5)
        within("seed", self.seed, 0, MOST_SEED)
        self._check_optim()
        self._check_regularisers()
        self._check_sets()
        self._check_start()
        distinct("logger", [part.name for part in self.logger])
        if len(self.encoders) < 2 or not all(self.encoders.values()):
            raise ConfigError("encoders needs two modalities with at least one encoder each: {image: [a], text: [b]}.")
        known = list(self.encoders)
        for setting, named in (("adapters", self.adapters), ("unpaired", self.unpaired)):
            if unknown := [modality for modality in named if modality not in known]:
                near = nearest(unknown[0], known)
                raise ConfigError(f"{setting}.{unknown[0]}: encoders names only {', '.join(known)}.{near}")

    def _check_optim(self) -> None:
        optim = self.optim
        positive("optim.lr", optim.lr)
        within("optim.min_lr", optim.min_lr, 0.0, optim.lr)
        within("optim.weight_decay", optim.weight_decay, 0.0, MOST_FACTOR)
        within("optim.warmup_steps", optim.warmup_steps, 0, MOST_ITEMS)
        if optim.clip_norm is not None:
            positive("optim.clip_norm", optim.clip_norm)
        or_auto("optim.batch_size", optim.batch_size, 2, MOST_ITEMS)
        or_auto("optim.max_epochs", optim.max_epochs, 1, MOST_ITEMS)
        most = optim.max_epochs if isinstance(optim.max_epochs, int) else MOST_ITEMS
        or_auto("optim.validate_every", optim.validate_every, 1, most)
        within("optim.auto.batch_size", optim.auto.batch_size, 2, MOST_ITEMS)
        for name in ("epochs", "steps", "validations"):
            within(f"optim.auto.{name}", getattr(optim.auto, name), 1, MOST_ITEMS)
        if optim.patience is not None:
            within("optim.patience", optim.patience, 1, MOST_ITEMS)

    def _check_regularisers(self) -> None:
        within("structure.weight", self.structure.weight, 0.0, MOST_FACTOR)
        within("structure.warmup_steps", self.structure.warmup_steps, 0, MOST_ITEMS)
        within("structure.temperature", self.structure.temperature, 0.001, 1.0)
        within("regression.weight", self.regression.weight, 0.0, MOST_FACTOR)
        within("closed_form.share", self.closed_form.share, 0.0, 0.99)
        for name in ("left_ridge", "right_ridge", "power"):
            value = getattr(self.closed_form, name)
            if value is not None:
                within(f"closed_form.{name}", value, 0.0, MOST_FACTOR)

    def _check_sets(self) -> None:
        within("holdout", self.holdout, 0.0, 0.5)
        if self.validation is not None and self.holdout:
            raise ConfigError(
                "the best epoch is chosen on one set of pairs: give either validation=FOLDER or a holdout, such as "
                "holdout=0.1, or neither, and a part of train is held out."
            )
        for name, more in self.also.items():
            within(f"also.{name}.holdout", more.holdout, 0.0, 0.5)
            within(f"also.{name}.weight", more.weight, 0.01, MOST_PASSES)
            or_auto(f"also.{name}.batch_size", more.batch_size, 2, MOST_ITEMS)
            if more.validation and more.holdout:
                raise ConfigError(f"also.{name}: give validation or holdout, not both.")

    def _check_start(self) -> None:
        if self.resume and self.overwrite:
            raise ConfigError("resume continues the run in out and overwrite discards it: give only one of them.")
        if self.resume and self.init_from:
            raise ConfigError(
                "resume continues the same run, with nothing changed; init_from starts a new one from another's "
                "weights: give only one of them."
            )
        if self.warm_start and (self.init_from or self.method == "csa"):
            raise ConfigError(
                "warm_start starts from the closed form, so neither init_from nor method=csa goes with it."
            )
        if self.method == "csa" and (self.init_from or self.closed_form.share or self.regression.weight):
            raise ConfigError(
                "method=csa is the closed form alone: none of init_from, closed_form.share and regression.weight goes "
                "with it."
            )
        has_closed_form = self.method == "csa" or self.warm_start or self.closed_form.share
        if self.also and has_closed_form:
            raise ConfigError("the closed form solves for two modalities: leave out also, or train without it.")
        if self.unpaired and not has_closed_form:
            raise ConfigError(
                "unpaired items go into the closed form, and these settings have none: give closed_form.share, such as "
                "0.5, or method=csa, or a recipe that has one."
            )
