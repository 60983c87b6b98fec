"""What an index holds of an embedding, and what it is asked by.

Place in the flow: embeddings at the full width of the model -> index_vectors -> IndexWriter; and embeddings of queries
-> index_queries -> Index.search. Everything that a model embeds for an index goes through one of the two.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32

from fusemix.config import IndexConfig
from fusemix.errors import ConfigError, RunError
from fusemix.fusion.checkpoints import HUBS
from fusemix.models.trained import Trained
from fusemix.models.width import cut, require_width
from fusemix.search.description import Description
from fusemix.search.tuning import ASKED

Cuts = Mapping[str, float]
"""Modality of items -> score below which they are more likely wrong than right, as far as it is known."""


def index_vectors(
    embeddings: Float32[np.ndarray, "items width"], modality: str, about: Description, trained: Trained
) -> Float32[np.ndarray, "items kept"]:
    """Vectors of items as an index takes them, each with what is added to its scores.

    Levels are those that the index notes, so that its items stay at one height though the model's hubs were made anew.

    Args:
        embeddings: of the items, unit length.
        modality: of the items.
        about: the index.
        trained: the model.
    """
    vectors = cut(embeddings, about.dim)
    if not about.hub_queries or trained.hubs is None:
        return vectors
    hubs = trained.hubs._replace(levels=about.hub_levels) if about.hub_levels else trained.hubs
    device = trained.model.log_logit_scale.device
    with torch.inference_mode():
        taken = hubs.columns(modality, torch.from_numpy(embeddings).to(device), about.hub_queries)
    return np.concatenate([vectors, -taken], axis=1)


def weights_of(modalities: Sequence[str | None], about: Description) -> Float32[np.ndarray, "queries added"]:
    """How much of what is added to scores counts for queries: all that is meant for their modality.

    Args:
        modalities: of the queries; None where it is not known, or hubs are not corrected.
        about: the index.
    """
    rows = [[float(modality == one) for one in about.hub_queries] for modality in modalities]
    return np.array(rows, dtype=np.float32).reshape(len(modalities), len(about.hub_queries))


def index_queries(
    embeddings: Float32[np.ndarray, "queries width"], about: Description
) -> Float32[np.ndarray, "queries dim"]:
    """Vectors of queries as an index is asked by them.

    Args:
        embeddings: of the queries, unit length.
        about: the index.
    """
    return cut(embeddings, about.dim)


def cuts_of(
    query: str, galleries: Sequence[str], about: Description, trained: Trained, *, corrects: bool
) -> dict[str, float]:
    """Cuts as an answer's scores have them; none for an index of another width than scores were judged by.

    Args:
        query: modality that asks.
        galleries: modalities that are looked among.
        about: the index.
        trained: its model.
        corrects: whether what the index keeps of hubs counts.
    """
    if trained.hubs is None or about.dim != trained.model.width:
        return {}
    known = trained.hubs.cuts
    cuts = {one: known[way] for one in galleries if (way := f"{query}_to_{one}") in known}
    if not corrects or query not in about.hub_queries:
        return {one: cut.plain for one, cut in cuts.items()}
    levels = about.hub_levels if len(galleries) > 1 else {}  # see Searcher.search
    return {one: cut.corrected - levels.get(f"{query}_to_{one}", 0.0) for one, cut in cuts.items()}


def bank_queries(trained: Trained | None, about: Description) -> dict[str, Float32[np.ndarray, "queries width"]]:
    """Training items of each modality, as an index is asked by them; none where the model keeps none, or is not there.

    Args:
        trained: the model.
        about: the index.
    """
    hubs = None if trained is None else trained.hubs
    found = {}
    for modality, bank in hubs.banks.items() if hubs else ():
        vectors = index_queries(bank[:ASKED].float().cpu().numpy(), about)
        found[modality] = np.concatenate([vectors, weights_of([modality] * len(vectors), about)], axis=1)
    return found


def shaped(empty: Description, config: IndexConfig, trained: Trained) -> Description:
    """A new index with the width and the precision that are asked for, and with hubs corrected where they are known.

    Raises:
        ConfigError: the model has no such width.
    """
    if config.dim is not None:
        require_width(config.dim, trained.model, trained.file)
    dim = empty.dim if config.dim is None else config.dim
    shape = replace(empty, dim=dim, precision=config.precision or empty.precision)
    if not config.hub_correction or trained.hubs is None:
        return shape
    asking, known = list(trained.hubs.banks), trained.hubs.levels
    ways = [f"{query}_to_{gallery}" for query, gallery in product(asking, trained.modalities)]
    return replace(shape, hub_queries=asking, hub_levels={way: known.get(way, 0.0) for way in ways})


def require_hubs(there: Description, trained: Trained, folder: Path) -> None:
    """Refuse to add to an index whose items carry what the model does not know any more.

    Raises:
        RunError: it does not.
    """
    lacking = [name for name in there.hub_queries if trained.hubs is None or name not in trained.hubs.banks]
    if lacking:
        raise RunError(
            f"{folder} has hubs corrected for {lacking[0]} queries, and {trained.folder} knows nothing of them: its "
            f"{HUBS} is gone. For a run, the same `fusemix train …` makes it again; or make the index again with "
            "overwrite=true."
        )


def require_same_shape(there: Description, config: IndexConfig, folder: Path) -> None:
    """Refuse another width or precision than an index has.

    Raises:
        ConfigError: another one is asked for.
    """
    for name in ("dim", "precision"):
        has, asked = getattr(there, name), getattr(config, name)
        if asked not in (None, has):
            raise ConfigError(
                f"{folder} has {name}={has}, and {name}={asked} is asked for. Leave it out to add to that index, or "
                f"make it again: fusemix index … --{name} {asked} --out {shlex.quote(str(folder))} --overwrite"
            )
