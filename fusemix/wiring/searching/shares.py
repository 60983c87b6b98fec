"""What an index of several modalities shows first: which share of hits is of which, with hubs corrected and without.

Place in the flow: an index, the model's banks -> shares for people.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fusemix.models.trained import Trained
from fusemix.search.folder import Index
from fusemix.wiring.searching.spaces import index_queries, weights_of

ASKED, FIRST = 200, 20
"""Items of each bank that ask, and how many hits count."""


def shares_of_modalities(folder: Path, trained: Trained) -> Iterator[str]:
    """Lines for people; none where an index holds one modality, or corrects nothing.

    Args:
        folder: of the index.
        trained: the model.
    """
    index = Index(folder)
    if trained.hubs is None or len(index.counts) < 2:
        return
    for query in index.description.hub_queries:
        vectors = index_queries(trained.hubs.banks[query][:ASKED].float().numpy(), index.description)
        plain, level = (
            _shares(index, np.concatenate([vectors, weights_of([asking] * len(vectors), index.description)], axis=1))
            for asking in (None, query)
        )
        parts = [f"{modality} {plain[modality]:.0%} → {level[modality]:.0%}" for modality in index.counts]
        asked = f"{query} queries, by cosines → as searched"
        yield f"  with modality=any, shares of the first {FIRST} hits for {asked}: {', '.join(parts)}"


def _shares(index: Index, queries: np.ndarray) -> dict[str, float]:
    positions = index.search(queries, FIRST).positions
    found = [item["modality"] for item in index.items(positions[positions >= 0].tolist())]
    return {modality: found.count(modality) / len(found) for modality in index.counts}
