"""A linear map of one side near the identity, for a run whose other side stays as it is.

Place in the flow: training pairs of two sides that share a space -> AlignedResidual.take_linear.
"""

from torch.nn.functional import normalize

from fusemix.config import TrainConfig
from fusemix.fusion.closed_form import CHOICES, ClosedForm, LinearMap, canonical_maps, climbed, pair_moments
from fusemix.fusion.model import FusionModel
from fusemix.fusion.near_identity import of_one_length, of_one_side
from fusemix.interfaces import Scorer
from fusemix.latents.training_sets import TrainingSet
from fusemix.wiring.training.aligned import leaning
from fusemix.wiring.training.closed_form import pairs_of, validation_latents
from fusemix.wiring.training.moving import TRIED

LEANS = (0.3, 3.0)
"""How much of the map its settings are chosen with, since nobody knows yet how much it will be."""


def start_near_identity(model: FusionModel, config: TrainConfig, training_set: TrainingSet, scorer: Scorer) -> str:
    """Give the side that moves its linear map, as much of it as validation says; returns a line for people."""
    (adapter,) = leaning(model)
    place = [model.adapters[modality] for modality in training_set.modalities].index(adapter)
    moments = pair_moments(pairs_of(model, training_set, config.seed))
    latents = validation_latents(model, training_set)
    moving, staying = latents[place], normalize(latents[1 - place], dim=1)

    def found(setting: ClosedForm) -> LinearMap:
        maps = canonical_maps(moments, dims=model.embedding_dim, **setting._asdict())
        one_side = of_one_side(maps[place], maps[1 - place])
        return of_one_length(LinearMap(one_side.weight.float(), one_side.bias.float()), moving)

    def recall(linear: LinearMap, lean: float) -> float:
        moved = normalize(moving + lean * (moving @ linear.weight.T + linear.bias), dim=1)
        return scorer(*((moved, staying) if place == 0 else (staying, moved)))["mean_recall"]

    def best_recall(setting: ClosedForm) -> float:
        linear = found(setting)
        return max(recall(linear, lean) for lean in LEANS)

    chosen = climbed(best_recall, {name: getattr(config.closed_form, name) for name in CHOICES})
    linear = found(chosen)
    adapter.take_linear(*linear)
    lean = max(TRIED["linear"], key=lambda one: recall(linear, one))
    adapter.move(1.0, lean)
    return f"{lean:g} times a linear map of {training_set.modalities[place]} beside the identity"
