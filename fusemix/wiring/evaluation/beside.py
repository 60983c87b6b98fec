"""What stands beside the plain figures: equal captions as one, baselines, and what indexes lose.

Place in the flow: Evaluation, embeddings, Results -> parts of report.json.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Int64

from fusemix.retrieval import hubness
from fusemix.retrieval.approximation import index_rows
from fusemix.retrieval.evaluation import plain_figures
from fusemix.retrieval.metrics import DEFINITIONS
from fusemix.retrieval.results import Results, belongs
from fusemix.retrieval.ways import Ways, figures_of_ways
from fusemix.wiring.evaluation.baselines import baseline_embeddings, baseline_sets
from fusemix.wiring.evaluation.corrections import bank_set
from fusemix.wiring.evaluation.evaluate import Evaluation, folds_in


def check(evaluation: Evaluation) -> None:
    """Open all that is needed, so that a mistake is said before anything is computed.

    Raises:
        FusemixError: a baseline or the bank is not available, or could not be compared.
    """
    for name in evaluation.config.baselines:
        baseline_sets(name, evaluation)
    if evaluation.config.bank:
        bank_set(evaluation)


def merged_captions(evaluation: Evaluation, ways: Ways) -> list[dict[str, Any]]:
    """Figures of the model with equal captions as one; nothing where no caption is there more than once."""
    if evaluation.merged is None:
        return []
    rows = evaluation.gallery.right_rows
    first = torch.from_numpy(np.flatnonzero(np.r_[True, rows[1:] != rows[:-1]])).to(ways.from_left[1].device)
    folds = folds_in(evaluation.merged, evaluation.protocol)
    figures = figures_of_ways(ways.right_at(first), folds, evaluation.modalities, evaluation.config.ks)
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


def hubs(results: tuple[Results, Results], evaluation: Evaluation) -> dict[str, dict[str, float]]:
    """Figures of hubness of both directions."""
    sizes = [len(rows) for rows in evaluation.gallery.rows]
    return {
        found.direction.name: hubness.hubness(found.top.positions, size)
        for found, size in zip(results, sizes[::-1], strict=True)
    }


def indexes(evaluation: Evaluation, results: tuple[Results, Results], ways: Ways) -> list[dict[str, Any]]:
    """What each index asked for loses against exact search, in both directions; `ways` on the CPU."""
    if not evaluation.config.indexes:
        return []
    rows = []
    for found, embeddings, (asked, given) in zip(results, ways, ((0, 1), (1, 0)), strict=True):
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
