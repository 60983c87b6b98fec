"""What stands beside the plain figures: equal captions as one, baselines, corrections of hubs, and what indexes lose.

Place in the flow: Evaluation, embeddings, Results -> parts of report.json.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64

from fusemix.errors import ConfigError
from fusemix.fusion.model import FusionModel
from fusemix.latents.galleries import SideItems, gallery_of
from fusemix.latents.sets import LatentSet
from fusemix.models.cached import embed
from fusemix.models.fitting import fitting_set
from fusemix.retrieval import hubness
from fusemix.retrieval.approximation import index_rows
from fusemix.retrieval.evaluation import Embeddings, Survey, corrected_figures, plain_figures
from fusemix.retrieval.metrics import DEFINITIONS
from fusemix.retrieval.results import Results, belongs
from fusemix.wiring.evaluation.baselines import baseline_embeddings, baseline_sets
from fusemix.wiring.evaluation.evaluate import Evaluation, folds_in, require_other_items

BANK = 10_000
"""Training queries of a modality in the query bank, at most."""


def check(evaluation: Evaluation) -> None:
    """Open all that is needed, so that a mistake is said before anything is computed.

    Raises:
        FusemixError: a baseline or the bank is not available, or could not be compared.
    """
    for name in evaluation.config.baselines:
        baseline_sets(name, evaluation)
    if evaluation.config.bank:
        _bank_set(evaluation)


def merged_captions(evaluation: Evaluation, embeddings: Embeddings) -> list[dict[str, Any]]:
    """Figures of the model with equal captions as one; nothing where no caption is there more than once."""
    if evaluation.merged is None:
        return []
    rows = evaluation.gallery.right_rows
    first = torch.from_numpy(np.flatnonzero(np.r_[True, rows[1:] != rows[:-1]])).to(embeddings[1].device)
    folds = folds_in(evaluation.merged, evaluation.protocol)
    figures = plain_figures((embeddings[0], embeddings[1][first]), folds, evaluation.modalities, evaluation.config.ks)
    text = f"{DEFINITIONS['merged']} Here {len(rows):,} captions are {len(first):,} texts."
    return [{"name": "captions merged", "kind": "counting", "about": text, "metrics": figures}]


def measured_baselines(evaluation: Evaluation, device: str) -> list[dict[str, Any]]:
    """Each baseline's figures on the items of the evaluation."""
    made = []
    for name in evaluation.config.baselines:
        sets = baseline_sets(name, evaluation)
        (left, right), text = baseline_embeddings(sets, evaluation.gallery, evaluation.config.seed)
        embeddings = (left.to(device), right.to(device))
        figures = plain_figures(embeddings, evaluation.folds, evaluation.modalities, evaluation.config.ks)
        made.append({"name": name, "kind": "baseline", "about": text, "metrics": figures})
    return made


def corrections(
    evaluation: Evaluation, embeddings: Embeddings, survey: Survey, model: FusionModel, device: str
) -> list[dict[str, Any]]:
    """Figures of the model with its hubs corrected: the inverted softmax, and a query bank where one was given.

    Nothing where corrections are left out.
    """
    config = evaluation.config
    if not config.corrections:
        return []
    banks = _banks(evaluation, model, device) if config.bank else None
    found = corrected_figures(embeddings, survey, evaluation.modalities, config.ks, banks)
    return [
        {
            "name": name.replace("_", " "),
            "kind": "correction",
            "about": hubness.DEFINITIONS[name],
            "metrics": figures,
        }
        for name, figures in found.items()
    ]


def _banks(evaluation: Evaluation, model: FusionModel, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings of training queries of both modalities."""
    train = _bank_set(evaluation)
    generator = np.random.default_rng(evaluation.config.seed)
    made: dict[str, torch.Tensor] = {}
    for items in gallery_of(train).of(train):
        chosen = np.sort(generator.permutation(items.rows)[:BANK])
        made[items.modality] = embed(model, SideItems(items.side, chosen), device).to(device)
    one, other = (made[modality] for modality in evaluation.modalities)
    return one, other


def _bank_set(evaluation: Evaluation) -> LatentSet:
    bank = fitting_set(Path(str(evaluation.config.bank)), evaluation.record)
    require_other_items("bank", bank, evaluation.latent_set)
    modalities = [side.modality for side in bank.sides]
    if set(modalities) != set(evaluation.modalities):
        raise ConfigError(
            f"bank={bank.folder} pairs {' and '.join(modalities)}, and not {' and '.join(evaluation.modalities)}."
        )
    return bank


def hubs(results: tuple[Results, Results], evaluation: Evaluation) -> dict[str, dict[str, float]]:
    """Figures of hubness of both directions."""
    sizes = [len(rows) for rows in evaluation.gallery.rows]
    return {
        found.direction.name: hubness.hubness(found.top.positions, size)
        for found, size in zip(results, sizes[::-1], strict=True)
    }


def indexes(evaluation: Evaluation, results: tuple[Results, Results], embeddings: Embeddings) -> list[dict[str, Any]]:
    """What each index asked for loses against exact search, in both directions."""
    if not evaluation.config.indexes:
        return []
    rows = []
    for found, (asked, given) in zip(results, ((0, 1), (1, 0)), strict=True):
        queries, links = found.direction.ranks.queries, evaluation.gallery.links[:, [asked, given]]

        def is_linked(
            positions: Int64[np.ndarray, "queries k"], links: np.ndarray = links, queries: np.ndarray = queries
        ) -> np.ndarray:
            return belongs(links, queries, positions)

        rows += index_rows(
            found.direction,
            embeddings[asked].numpy()[queries],
            embeddings[given].numpy(),
            is_linked,
            found.top,
            evaluation.config.indexes,
            evaluation.config.ks,
        )
    return rows
