"""Settings of what is done with latents: training and evaluation.

Place in the flow: see fusemix/config/__init__.py.
"""

from dataclasses import dataclass, field
from typing import Literal

from fusemix.config.checks import at_least, within
from fusemix.config.latents import PartConfig
from fusemix.errors import ConfigError


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
        at_least("optim.batch_size", self.optim.batch_size, 2)
        at_least("optim.max_epochs", self.optim.max_epochs, 1)
        at_least("embedding_dim", self.embedding_dim, 1)
        within("temperature", self.temperature, 0.001, 0.5)
        within("holdout", self.holdout, 0.0, 0.5)
        at_least("mixup_alpha", self.mixup_alpha, 0.0)
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
        at_least("num_examples", self.num_examples, 0)
