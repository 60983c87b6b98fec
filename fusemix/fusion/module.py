"""The LightningModule: one training step, one validation pass, one optimiser.

Place in the flow: LatentBatch -> mixup -> FusionModel -> loss; validation rows -> embeddings -> scorer.
Not here: arithmetic. Mixing, adapters and losses are functions of their own, and recall comes in
as a function, so that training does not import retrieval.
"""

import math
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import torch
from jaxtyping import Float
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from fusemix.fusion.mixup import draw_weight, halves, mix_pairs
from fusemix.fusion.model import FusionModel
from fusemix.interfaces import LatentBatch, PairLoss, Scorer


class Schedule(NamedTuple):
    """AdamW with linear warm-up and cosine; see `config.OptimConfig`."""

    lr: float
    min_lr: float
    weight_decay: float
    warmup_steps: int
    total_steps: int


class FusionModule(L.LightningModule):
    """Trains a FusionModel.

    Args:
        model: what is trained.
        loss: of a batch of embeddings.
        modalities: of the left and of the right.
        mixup_alpha: of the Beta distribution; 0 trains on plain pairs.
        schedule: of the optimiser.
        scorer: validation embeddings -> figures; `mean_recall` among them chooses the best epoch.
        seed: of dropout and mixing, which are drawn anew from seed and epoch, so that a run which was
            interrupted goes on as it would have.
        checkpoint: plain data that goes into the checkpoint, enough to build the model again.
    """

    def __init__(
        self,
        *,
        model: FusionModel,
        loss: PairLoss,
        modalities: tuple[str, str],
        mixup_alpha: float,
        schedule: Schedule,
        scorer: Scorer,
        seed: int,
        checkpoint: dict[str, Any],
    ) -> None:
        super().__init__()
        self.model, self.loss = model, loss
        self._modalities, self._mixup_alpha, self._schedule = modalities, mixup_alpha, schedule
        self._scorer, self._seed = scorer, seed
        self._mixing = np.random.default_rng(seed)
        self._embedded: dict[str, list[Tensor]] = {}
        # Plain containers only: anything else makes the checkpoint unreadable under weights_only=True.
        self.save_hyperparameters({"fusemix": checkpoint}, logger=False)

    def on_train_epoch_start(self) -> None:
        """Start every epoch from randomness of its own."""
        self._mixing = np.random.default_rng([self._seed, self.current_epoch])
        torch.manual_seed(int(self._mixing.integers(2**63)))

    def training_step(self, batch: LatentBatch, batch_idx: int) -> Float[Tensor, ""]:
        """Mix, embed, compare."""
        if self._mixup_alpha > 0:
            # float16 has 11 bits; mixing in it would round what the encoder gave.
            full = LatentBatch(batch.left.float(), batch.right.float())
            batch = mix_pairs(*halves(full), weight=draw_weight(self._mixup_alpha, self._mixing))
        left, right = (self.model.embed(m, side) for m, side in zip(self._modalities, batch, strict=True))
        loss = self.loss(left, right, self.model.logit_scale)
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(left))
        return loss

    def on_train_batch_end(self, outputs: object, batch: LatentBatch, batch_idx: int) -> None:
        """Keep the temperature within its bounds."""
        self.model.clamp_temperature()

    def on_train_epoch_end(self) -> None:
        """Log what moves slowly."""
        self.log("train/temperature", 1 / self.model.logit_scale.detach())
        self.log("train/lr", self.trainer.optimizers[0].param_groups[0]["lr"])

    def on_validation_epoch_start(self) -> None:
        """Forget the embeddings of the last epoch."""
        self._embedded = {modality: [] for modality in self._modalities}

    def validation_step(self, batch: tuple[str, Tensor], batch_idx: int) -> None:
        """Embed some rows of one side."""
        modality, latents = batch
        self._embedded[modality].append(self.model.embed(modality, latents).cpu())

    def on_validation_epoch_end(self) -> None:
        """Measure retrieval among all items of the validation set."""
        left, right = (torch.cat(self._embedded[modality]) for modality in self._modalities)
        self.log_dict({f"validation/{name}": value for name, value in self._scorer(left, right).items()})

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW, whose decay spares all but matrices; warm-up and cosine step by step."""
        optimizer = torch.optim.AdamW(parameter_groups(self.model, self._schedule.weight_decay), lr=self._schedule.lr)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, LearningRate(self._schedule))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


class LearningRate:
    """Step -> factor on the peak rate: linear from `min_lr` to the peak, then half a cosine down to `min_lr`.

    Args:
        schedule: rates and lengths; the warm-up takes at most half of the steps.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.floor = schedule.min_lr / schedule.lr
        self.total = schedule.total_steps
        self.warmup = min(schedule.warmup_steps, schedule.total_steps // 2)

    def __call__(self, step: int) -> float:
        """Factor at a step, from 0."""
        if step < self.warmup:
            return self.floor + (1 - self.floor) * step / self.warmup
        done = min(1.0, (step - self.warmup) / max(1, self.total - self.warmup))
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * done)) / 2


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices decay; biases, norms and the temperature do not."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
