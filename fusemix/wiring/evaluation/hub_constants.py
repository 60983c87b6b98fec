"""The constants by which a run corrects its hubs, of the items that are measured.

Place in the flow: hubs.safetensors of the run, embeddings -> Constants -> retrieval/ways.py.
"""

from pathlib import Path

import torch

from fusemix.encoders.loading import weights_sha256
from fusemix.errors import ConfigError
from fusemix.fusion.checkpoints import HUBS
from fusemix.fusion.model import FusionModel
from fusemix.models.hubs import Hubs, read_hubs
from fusemix.retrieval.evaluation import Embeddings
from fusemix.retrieval.ways import Constants
from fusemix.wiring.evaluation.evaluate import Evaluation


def hubs_of(evaluation: Evaluation, model: FusionModel) -> Hubs | None:
    """What the run knows of the hubs of its best epoch; None where it knows nothing.

    Raises:
        ConfigError: headline figures are to be corrected, and it knows nothing.
        RunError: the file is damaged, or of another model.
    """
    config = evaluation.config
    found = None
    if config.checkpoint == "best":
        found = read_hubs(Path(config.model) / HUBS, weights_sha256(model), model.width)
    if found is None and config.hub_correction:
        why = "are known of its best epoch alone" if config.checkpoint != "best" else "are not known"
        raise ConfigError(
            f"hub_correction=true, but the hubs of {config.model} {why}. Leave it out, or let the same "
            "`fusemix train …` look for them once more: it trains nothing again."
        )
    return found


def constants_of(hubs: Hubs | None, modalities: tuple[str, str], embeddings: Embeddings) -> Constants | None:
    """Constants of the right items, as the left asks, and of the left items; None where nothing is corrected.

    Args:
        hubs: of the run.
        modalities: of both sides.
        embeddings: of both sides, on one device.
    """
    left, right = modalities
    if hubs is None or not (hubs.of(left, right) or hubs.of(right, left)):
        return None
    with torch.inference_mode():
        return hubs.constants(left, right, embeddings[1]), hubs.constants(right, left, embeddings[0])


def about_strengths(hubs: Hubs, modalities: tuple[str, str]) -> str:
    """How strongly each direction is corrected, in a sentence."""
    said = []
    for query, gallery in (modalities, modalities[::-1]):
        strength = hubs.of(query, gallery)
        how = f"alpha {strength.alpha:g}, beta {strength.beta:g}" if strength else "not corrected"
        said.append(f"{query} to {gallery}: {how}, bank of {len(hubs.banks[query]):,}")
    return f" Here {'; '.join(said)}."
