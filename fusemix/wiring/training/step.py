"""What a training step needs of the device's memory, from the run's sets, model and settings.

Place in the flow: TrainConfig, LatentData, FusionModel -> TrainingStep -> latents make room, or it does with less.
"""

from functools import cache

import torch

from fusemix.config import TrainConfig
from fusemix.fusion.losses.tiles import TILE
from fusemix.fusion.model import FusionModel
from fusemix.fusion.step_memory import Held, SideOfStep, StepSizes, held_by, step_bytes
from fusemix.latents.loader import LatentData
from fusemix.latents.residence import StepBytes
from fusemix.latents.training_sets import TrainingSet

AUTOCAST = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
"""Of Lightning's names; everything else is taken for float32, but for float64."""


class TrainingStep:
    """A step of a run; see `residence.Step`.

    Args:
        data: its sets.
        model: that is trained.
        parts: loaded pairs that become one.
    """

    def __init__(self, config: TrainConfig, data: LatentData, model: FusionModel, parts: int) -> None:
        self._config, self._training_sets, self._model, self._parts = config, data.training_sets, model, parts

    def recompute(self, again: bool) -> None:
        """See `residence.Step`."""
        self._model.recompute = again

    def num_bytes(self, device: torch.device, precision: str, num_processes: int) -> StepBytes:
        """See `residence.Step`. The model is brought to the device, where it is going to be trained."""
        self._model.to(device).train()

        @cache
        def held(modality: str) -> Held:
            width = sum(self._model.dims[modality])
            return held_by(self._model.adapters[modality], width, device, AUTOCAST.get(precision))

        def of(training_set: TrainingSet, again: bool) -> int:
            rows = training_set.pairs_per_step // self._parts // num_processes
            counts = (rows, rows * (self._config.links_per_item or 1))
            sides = [
                SideOfStep(count, side.dim, held(side.modality), self._model.is_cut(side.modality))
                for count, side in zip(counts, training_set.train.sides, strict=True)
            ]
            double = 2 if precision.startswith("64") else 1
            sizes = StepSizes(
                sides,
                parts=self._parts,
                loaded=max(side.dtype.itemsize for side in training_set.train.sides),
                embedding_dim=self._model.embedding_dim,
                weights=sum(self._model.num_parameters().values()),
                num_processes=num_processes,
                structure=self._config.structure.weight > 0,
                tile=TILE.get(device.type, TILE["cpu"]),
            )
            return step_bytes(sizes, again=again) * double

        return StepBytes(*(max(of(one, again) for one in self._training_sets) for again in (False, True)))
