"""The LightningModule: one training step, one validation pass, one optimiser.

Place in the flow: TrainBatch -> augmentation -> FusionModel -> loss; validation rows -> embeddings -> scorer.
Not here: arithmetic. Mixing, adapters and losses are functions of their own, and recall comes in
as a function, so that training does not import retrieval.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import torch
from jaxtyping import Float
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from fusemix.fusion.callbacks import ZERO_SHOT
from fusemix.fusion.checkpoints import OF_MODEL
from fusemix.fusion.gathering import own_part, own_rank, rows_of_parts, stop_together
from fusemix.fusion.losses.regression import mean_squared_distance
from fusemix.fusion.losses.structure import Form, structure_divergence
from fusemix.fusion.mixup.variants import Augmentation
from fusemix.fusion.model import FusionModel
from fusemix.fusion.schedule import LearningRate, Schedule, parameter_groups
from fusemix.interfaces import LatentBatch, PairLoss, Scorer, TrainBatch

LOOK_EVERY = 50
"""Steps from one look at the loss to the next."""
NEVER = 2**62
"""A step that does not come."""


class Pairing(NamedTuple):
    """What one of the run's sets pairs, and how it is validated.

    Attributes:
        name: of the set in this run; empty for the first one.
        modalities: of the left and of the right.
        scorer: validation embeddings -> figures, `mean_recall` among them; None where nothing is held out.
        has_fixed_side: whether one of its sides stays as it is, which the other one can be brought to.
    """

    name: str
    modalities: tuple[str, str]
    scorer: Scorer | None
    has_fixed_side: bool = False


class Structure(NamedTuple):
    """The structure regulariser; see `config.StructureConfig`."""

    weight: float
    temperature: float
    warmup_steps: int
    form: Form = "jensen_shannon"


class FusionModule(L.LightningModule):
    """Trains a FusionModel.

    Args:
        model: what is trained.
        loss: of a batch of embeddings.
        pairings: of the run's sets, in the order of the loader's training sets.
        augmentation: of latents, in training.
        structure: regulariser beside the loss.
        regression: weight of the mean squared distance of partners, where one side stays as it is; 0 leaves it out.
        optimizer: groups of parameters, peak learning rate -> optimiser.
        schedule: of the optimiser.
        clip_norm: longest gradient; None leaves all as they are.
        seed: of dropout and mixing, which are drawn again from seed and epoch, so that a run which was
            interrupted goes on as it would have.
        checkpoint: plain data that goes into the checkpoint, enough to build the model again.
        zero_shot: whether latents share a space already, so that what they give alone is measured, too.
    """

    def __init__(
        self,
        *,
        model: FusionModel,
        loss: PairLoss,
        pairings: Sequence[Pairing],
        augmentation: Augmentation,
        structure: Structure,
        regression: float = 0.0,
        optimizer: Callable[[list[dict[str, Any]], float], torch.optim.Optimizer],
        schedule: Schedule,
        clip_norm: float | None = None,
        seed: int,
        checkpoint: dict[str, Any],
        zero_shot: bool = False,
    ) -> None:
        super().__init__()
        self.model, self.loss = model, loss
        self.pairings, self._augmentation = list(pairings), augmentation
        self._structure, self._schedule, self._seed = structure, schedule, seed
        self._regression = regression
        self._optimizer, self._clip_norm = optimizer, clip_norm
        self._mixing = np.random.default_rng(seed)
        self._embedded: dict[tuple[int, str], list[Tensor]] = {}
        self._untouched: dict[tuple[int, str], list[Tensor]] | None = {} if zero_shot else None
        self._zero_shot: dict[str, float] = {}
        self._astray: Tensor | None = None
        # Plain containers only: anything else makes the checkpoint unreadable under weights_only=True.
        self.save_hyperparameters({"fusemix": checkpoint}, logger=False)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from a best epoch as it was trained, before its embeddings were turned."""
        checkpoint["state_dict"].pop(f"{OF_MODEL}rotation", None)

    def on_train_epoch_start(self) -> None:
        """Start every epoch from randomness of its own: mixing is the same in all processes, dropout is not."""
        self._mixing = np.random.default_rng([self._seed, self.current_epoch])
        dropout = np.random.SeedSequence([self._seed, self.current_epoch, own_rank()])
        torch.manual_seed(int(dropout.generate_state(1, np.uint64)[0] >> 1))
        self._astray = torch.full((), NEVER, device=self.device)

    def training_step(self, batch: TrainBatch, batch_idx: int) -> Float[Tensor, ""]:
        """Mix, embed, compare."""
        one, other = self.pairings[batch.set_number].modalities
        mixed = self._augmentation.apply(self._prepared(batch), self._mixing)
        left, right = self.model.adapt(one, mixed.left), self.model.adapt(other, mixed.right)
        loss = self.loss(left, right, self.model.logit_scale)
        self.log("train/loss", loss.detach(), on_step=False, on_epoch=True, sync_dist=True, batch_size=len(left))
        if self._structure.weight:
            loss = loss + self._structure_weight() * self._divergence(mixed, LatentBatch(left, right))
        if self._regression and self.pairings[batch.set_number].has_fixed_side:
            loss = loss + self._regression * self._distance(left, right)
        assert self._astray is not None, "an epoch has been started"
        # Kept on the device: to look at each loss would make the host wait for each step.
        self._astray = torch.where(loss.detach().isfinite(), self._astray, self._astray.clamp(max=batch_idx))
        return loss

    def _prepared(self, batch: TrainBatch) -> LatentBatch:
        """What is mixed, and let go of when it is."""
        one, other = self.pairings[batch.set_number].modalities
        return LatentBatch(self.model.prepare(one, batch.pairs.left), self.model.prepare(other, batch.pairs.right))

    def _structure_weight(self) -> float:
        warmup = self._structure.warmup_steps
        return self._structure.weight * (min(1.0, (self.global_step + 1) / warmup) if warmup else 1.0)

    def _divergence(self, latents: LatentBatch, embeddings: LatentBatch) -> Float[Tensor, ""]:
        parts = [
            structure_divergence(before, after, self._structure.temperature, self._structure.form)
            for before, after in zip(latents, embeddings, strict=True)
        ]
        divergence = parts[0] + parts[1]
        self.log("train/structure", divergence.detach(), on_step=False, on_epoch=True, sync_dist=True, batch_size=1)
        return divergence

    def _distance(self, left: Float[Tensor, "rows dim"], right: Float[Tensor, "columns dim"]) -> Float[Tensor, ""]:
        distance = mean_squared_distance(left, right)
        about: dict[str, Any] = {"on_step": False, "on_epoch": True, "sync_dist": True, "batch_size": len(left)}
        self.log("train/regression", distance.detach(), **about)
        return distance

    def on_train_batch_end(self, outputs: object, batch: TrainBatch, batch_idx: int) -> None:
        """Keep the temperature within its bounds, and stop where training went astray.

        Raises:
            RunError: the loss did in some process, or weights with the last step, and must not be saved.
        """
        self.model.clamp_temperature()
        is_last = self.trainer.is_last_batch
        if is_last or (batch_idx + 1) % LOOK_EVERY == 0:
            stop_together(self._what_went_astray(with_weights=is_last))

    def _what_went_astray(self, *, with_weights: bool) -> str | None:
        assert self._astray is not None, "an epoch has been started"
        first = int(self._astray)
        if first != NEVER:
            return self._gone_astray(f"the loss is NaN or infinite since step {first}")
        if with_weights and not all(bool(weight.isfinite().all()) for weight in self.parameters()):
            return self._gone_astray("weights are NaN or infinite after the last step")
        return None

    def _gone_astray(self, fact: str) -> str:
        return (
            f"{fact} of epoch {self.current_epoch}, counted from 0, so training ends. Give a lower optim.lr (it is "
            f"{self._schedule.lr:g}) or more optim.warmup_steps ({self._schedule.warmup_steps}), with another out or "
            "with overwrite=true. Checkpoints of earlier epochs are as they were."
        )

    def on_train_epoch_end(self) -> None:
        """Log what moves slowly."""
        self.log("train/temperature", 1 / self.model.logit_scale.detach(), sync_dist=True)
        self.log("train/lr", self.trainer.optimizers[0].param_groups[0]["lr"], sync_dist=True)

    def on_validation_epoch_start(self) -> None:
        """Forget the embeddings of the last epoch."""
        self._embedded = {(i, m): [] for i, pairing in enumerate(self.pairings) for m in pairing.modalities}

    def validation_step(self, batch: tuple[int, str, Tensor], batch_idx: int) -> None:
        """Embed some rows of one side, each process its part of them; they stay on the device."""
        number, modality, latents = batch
        rows = latents[own_part(len(latents))]
        own = self.model.embed(modality, rows)
        self._embedded[number, modality].append(rows_of_parts(own.float(), len(latents)))
        if self._untouched is not None:
            as_they_are = rows_of_parts(self.model.untouched(modality, rows).float(), len(latents))
            self._untouched.setdefault((number, modality), []).append(as_they_are)

    def _require_finite(self) -> None:
        """Stop all processes where embeddings cannot be ranked."""
        broken = sorted({m for (_, m), parts in self._embedded.items() if not all(p.isfinite().all() for p in parts)})
        stop_together(
            self._gone_astray(f"embeddings of {', '.join(broken)} are NaN or infinite in validation")
            if broken
            else None
        )

    def on_validation_epoch_end(self) -> None:
        """Measure retrieval among all items of each validation set; `mean_recall` is the mean over the sets.

        Raises:
            RunError: there are embeddings that cannot be ranked.
        """
        self._require_finite()
        figures, recall = self._measured(self._embedded)
        self._embedded = {}
        if self._untouched is not None:  # once: it stays as it is
            self._zero_shot = {ZERO_SHOT: self._measured(self._untouched)[1]}
            self._untouched = None
        # All processes have the same figures. The mean makes sure that they come to the same decision, bit by bit.
        self.log_dict({**figures, "validation/mean_recall": recall, **self._zero_shot}, sync_dist=True)

    def _measured(self, embedded: dict[tuple[int, str], list[Tensor]]) -> tuple[dict[str, float], float]:
        """Figures of each validation set, by name, and the mean of their mean recalls."""
        figures, recalls = {}, []
        for index, one in enumerate(self.pairings):
            if one.scorer:
                left, right = (torch.cat(embedded[index, modality]) for modality in one.modalities)
                found = one.scorer(left, right)
                figures |= {
                    "/".join(filter(None, ["validation", one.name, key])): value for key, value in found.items()
                }
                recalls.append(found["mean_recall"])
        return figures, float(np.mean(recalls))

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: object = None,
        gradient_clip_algorithm: object = None,
    ) -> None:
        """Shorten a gradient that is too long. Lightning's own clipping knows no fused optimiser."""
        if self._clip_norm is None:
            return
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        if scaler is not None and getattr(optimizer, "_step_supports_amp_scaling", False):
            scaler.unscale_(optimizer)  # which a fused one would do in its step; Lightning did it for the others
        torch.nn.utils.clip_grad_norm_(self.parameters(), self._clip_norm)

    def new_optimizer(self) -> torch.optim.Optimizer:
        """An optimiser of all that is trained, at the peak rate; its decay spares all but matrices."""
        return self._optimizer(parameter_groups(self, self._schedule.weight_decay), self._schedule.lr)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimiser; warm-up and cosine step by step."""
        optimizer = self.new_optimizer()
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, LearningRate(self._schedule))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
