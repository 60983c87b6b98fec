"""Rows of hubs that are corrected, beside the plain figures; and the plain ones beside corrected headline figures.

Place in the flow: Evaluation, Measured -> parts of report.json.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from fusemix.errors import ConfigError
from fusemix.fusion.model import FusionModel
from fusemix.latents.galleries import SideItems, gallery_of
from fusemix.latents.sets import LatentSet
from fusemix.models.cached import embed
from fusemix.models.fitting import fitting_set
from fusemix.retrieval import hubness
from fusemix.retrieval.evaluation import corrected_figures, plain_figures
from fusemix.wiring.evaluation.evaluate import Evaluation, require_other_items
from fusemix.wiring.evaluation.measured import Measured

PLAIN, CONSTANTS = "plain scores", "hub_constants"
ABOUT_PLAIN = "Cosines as they are, with no constant taken from them."
BANK = 10_000
"""Training queries of a modality in the query bank, at most."""


def rows(evaluation: Evaluation, measured: Measured, model: FusionModel, device: str) -> list[dict[str, Any]]:
    """Figures of the model with its hubs corrected in every way there is; nothing where corrections are left out.

    Where headline figures are corrected, the plain ones stand here instead.
    """
    config, ks = evaluation.config, evaluation.config.ks
    on_device = measured.on(device)
    if not measured.ways.is_plain:
        figures = plain_figures(on_device, evaluation.folds, evaluation.modalities, ks)
        return [{"name": PLAIN, "kind": "correction", "about": ABOUT_PLAIN, "metrics": figures}]
    if not config.corrections:
        return []
    banks = _banks(evaluation, model, device) if config.bank else None
    found = corrected_figures(on_device, measured.survey, evaluation.modalities, ks, banks, measured.taken)
    return [
        {
            "name": name.replace("_", " "),
            "kind": "correction",
            "about": f"{hubness.DEFINITIONS[name]}{measured.about if name == CONSTANTS else ''}",
            "metrics": figures,
        }
        for name, figures in found.items()
    ]


def _banks(evaluation: Evaluation, model: FusionModel, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings of training queries of both modalities."""
    train = bank_set(evaluation)
    generator = np.random.default_rng(evaluation.config.seed)
    made: dict[str, torch.Tensor] = {}
    for items in gallery_of(train).of(train):
        chosen = np.sort(generator.permutation(items.rows)[:BANK])
        made[items.modality] = embed(model, SideItems(items.side, chosen), device).to(device)
    one, other = (made[modality] for modality in evaluation.modalities)
    return one, other


def bank_set(evaluation: Evaluation) -> LatentSet:
    """The set of the query bank, opened.

    Raises:
        ConfigError: it is the set that is measured, or of other modalities.
        RunError: other encoders made it.
    """
    bank = fitting_set(Path(str(evaluation.config.bank)), evaluation.record)
    require_other_items("bank", bank, evaluation.latent_set)
    modalities = [side.modality for side in bank.sides]
    if set(modalities) != set(evaluation.modalities):
        raise ConfigError(
            f"bank={bank.folder} pairs {' and '.join(modalities)}, and not {' and '.join(evaluation.modalities)}."
        )
    return bank
