"""What a model starts from: statistics of the training set, a closed form, or the weights of another run.

Place in the flow: LatentData, TrainConfig -> a FusionModel's buffers and weights.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from fusemix.config import TrainConfig
from fusemix.errors import ConfigError, RunError
from fusemix.fusion.adapters.affine import StartsLinear
from fusemix.fusion.checkpoints import about, checkpoint_of, read_checkpoint
from fusemix.fusion.model import FusionModel
from fusemix.interfaces import PairLoss, Scorer
from fusemix.latents.distinct import distinct_rows
from fusemix.latents.loader import LatentData
from fusemix.latents.sampling import sample
from fusemix.latents.sets import Side
from fusemix.models.fitting import require_same_encoders
from fusemix.wiring.training.closed_form import closed_form_of
from fusemix.wiring.training.data import sides_by_modality

MOST_ROWS = 500_000
"""More tell nothing new about means and covariances."""
ROWS_AT_ONCE = 8192
OF_LOSS = "loss."
"""How names of what the loss has learned begin, in a checkpoint."""


def fit_preprocessing(model: FusionModel, data: LatentData, seed: int) -> None:
    """Fit each modality's preprocessing on the items that are trained on."""
    for modality, side in sides_by_modality(data).items():
        first = next(one for one in data.training_sets if modality in one.modalities)
        rows = distinct_rows(first.links.links[:, first.modalities.index(modality)])
        model.fit_preprocessing(modality, _latents_of(side, sample(rows, MOST_ROWS, seed)))


def _latents_of(side: Side, rows: np.ndarray) -> Callable[[], Iterable[Float[Tensor, "rows dim"]]]:
    def chunks() -> Iterator[Tensor]:
        for at in range(0, len(rows), ROWS_AT_ONCE):
            yield torch.from_numpy(side.take(rows[at : at + ROWS_AT_ONCE]))

    return chunks


def start_from_closed_form(model: FusionModel, config: TrainConfig, data: LatentData, scorer: Scorer) -> list[str]:
    """Put the closed form where the settings want it, into the adapters and beside them; returns lines for people.

    Beside latents that share a space already it is chosen by what both give together, or by itself where that is more.

    Raises:
        ConfigError: it is to go into an adapter that has no linear part.
    """
    training_set = data.training_sets[0]
    inside = config.method == "csa" or config.warm_start
    wanted = [*([model.adapters] if inside else []), *([model.beside] if config.closed_form.share else [])]
    places = [[_with_linear_part(modules, modality) for modality in training_set.modalities] for modules in wanted]
    found = closed_form_of(model, config, training_set, scorer, data.unpaired)
    for sides in places:
        for place, one in zip(sides, found.maps, strict=True):
            place.start_from(one.weight.float(), one.bias.float())
    return found.told


def _with_linear_part(modules: nn.ModuleDict, modality: str) -> StartsLinear:
    place = modules[modality]
    if isinstance(place, StartsLinear):
        return place
    raise ConfigError(
        f"the {modality} adapter has no linear part that could start from the closed form. "
        "Use adapter.name=linear or low_rank_residual."
    )


def start_from_run(model: FusionModel, loss: PairLoss, config: TrainConfig, data: LatentData) -> list[str]:
    """Take the weights of another run, for the modalities that both have; returns these.

    With them come the temperature and, where both have the same loss, what that has learned.

    Raises:
        RunError: there is no such run, it shares no modality, its encoders or its adapters are others.
    """
    path = checkpoint_of(Path(str(config.init_from)))
    checkpoint = read_checkpoint(path)
    record = about(checkpoint)
    shared = {modality: side for modality, side in sides_by_modality(data).items() if modality in record["dims"]}
    if not shared:
        raise RunError(f"init_from={path}: it was trained on {', '.join(record['dims'])}, none of which is here.")
    for modality, side in shared.items():
        accepted = record.get("accepted", {}).get(modality, ())
        require_same_encoders(config.train, modality, record["encoders"][modality], side, accepted)
    parts = ["adapters", "preprocessing"]
    if config.closed_form.share:
        parts.append("beside")
        if len(shared) < len(model.dims):
            raise RunError(
                f"init_from={path}: the closed form beside adapters belongs to both modalities, and it has only "
                f"{', '.join(shared)}. Set closed_form.share=0."
            )
    prefixes = tuple(f"{part}.{modality}." for part in parts for modality in shared)
    weights = {key.removeprefix("model."): value for key, value in checkpoint["state_dict"].items()}
    found = {key: value for key, value in weights.items() if key.startswith(prefixes)}
    mine = {key: value for key, value in model.state_dict().items() if key.startswith(prefixes)}
    _require_same_shapes(path, found, mine)
    model.load_state_dict({**found, "log_logit_scale": weights["log_logit_scale"]}, strict=False)
    if isinstance(loss, nn.Module) and record["config"]["loss"]["name"] == config.loss.name:
        learned = {k.removeprefix(OF_LOSS): v for k, v in checkpoint["state_dict"].items() if k.startswith(OF_LOSS)}
        _require_same_shapes(path, learned, loss.state_dict(), "losses")
        loss.load_state_dict(learned)
    return list(shared)


def _require_same_shapes(
    path: Path, found: Mapping[str, Tensor], mine: Mapping[str, Tensor], part: str = "adapters"
) -> None:
    other = sorted(found.keys() ^ mine.keys())
    other += sorted(key for key in found.keys() & mine.keys() if found[key].shape != mine[key].shape)
    if other:
        raise RunError(
            f"init_from={path}: its {part} are built otherwise than those of this run ({', '.join(other[:3])}"
            f"{', …' if len(other) > 3 else ''}). Give the same adapter, preprocess, embedding_dim, closed form and "
            "loss."
        )
