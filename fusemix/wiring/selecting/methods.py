"""Each method of choosing pairs: candidates -> places of links, and what was found on the way.

Place in the flow: select.py -> METHODS[name] -> fusemix/selection.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int64

from fusemix.config import SelectConfig
from fusemix.errors import ConfigError
from fusemix.latents.galleries import SideItems
from fusemix.latents.sets import LatentSet
from fusemix.machine.environment import available_memory, one_device
from fusemix.models.cached import embed
from fusemix.models.fitting import fitting_set
from fusemix.models.trained import open_trained
from fusemix.progress import counting
from fusemix.selection.clusters import clustered
from fusemix.selection.density import least_typical
from fusemix.selection.facility import neighbour_graph, representatives
from fusemix.selection.kdpp import most_diverse
from fusemix.selection.parts import SURPLUS, most_diverse_by_parts
from fusemix.selection.screen import screen_bytes
from fusemix.wiring.selecting.candidates import Candidates, candidates

MOST_BYTES = 13 << 30
"""What a method may take at once; above, kdpp chooses by parts."""
MOST_PICKS = 20_000
"""Of kdpp: its factor takes 3 GB then, and time grows with the square."""
PARTS_PER_BUDGET = 4
"""Clusters differ in size, so there are so many more parts than would just fit."""
BYTES_OF_AN_EDGE = 150
"""Of facility's graph, while it is put in order; its vectors are there twice, once in the index."""
CLUSTERS, ITEMS_PER_CLUSTER = 100, 40
LINKS_AT_ONCE = 65_536


class Choice(NamedTuple):
    """What was chosen.

    Attributes:
        places: of the links, in ascending order.
        found: plain data about the choice.
    """

    places: Int64[np.ndarray, " links"]
    found: Mapping[str, Any] = MappingProxyType({})


def chosen_uniformly(latent_set: LatentSet, config: SelectConfig) -> Choice:
    """Any pairs, at random."""
    rng = np.random.default_rng(config.seed)
    return Choice(np.sort(rng.choice(len(latent_set.links), config.size, replace=False)))


def chosen_diverse(latent_set: LatentSet, config: SelectConfig) -> Choice:
    """The most diverse items, by greedy k-DPP, each with one pair."""
    of = candidates(latent_set, config.modality)
    size = min(config.size, len(of))
    if size > MOST_PICKS:
        raise ConfigError(
            f"size is {config.size:,}, and kdpp chooses {MOST_PICKS:,} items at most, since its time grows with the "
            "square. Set method=density, or facility."
        )
    parts = config.parts or num_parts(len(of), of.dim, size)
    if parts == 1:
        with counting("items chosen", size) as advance:
            picked = most_diverse(torch.from_numpy(of.unit()), size, advance)
    else:
        with counting("items compared with clusters", len(of)) as advance:
            part_of = clustered(of.unit, len(of), min(parts, len(of)), config.seed, advance).of_row
        with counting("items chosen", int((1 + SURPLUS) * size)) as advance:
            picked = most_diverse_by_parts(of.unit, part_of, size, advance)
    found = {"parts": parts, "log_determinant": picked.log_determinant}
    return _of_items(of, picked.rows, config, found)


def num_parts(num_items: int, dim: int, size: int) -> int:
    """Parts that kdpp needs: 1 where all fits into memory.

    Raises:
        ConfigError: this machine has less.
    """
    needed = 4 * num_items * dim + screen_bytes(num_items, size) + 12 * size**2  # its factor, and that in float32
    parts = 1 if needed <= MOST_BYTES else PARTS_PER_BUDGET * -(-needed // MOST_BYTES)
    if parts == 1 and needed > available_memory():
        free = available_memory()
        raise ConfigError(
            f"kdpp takes {needed / 1e9:,.1f} GB for {size:,} of {num_items:,} items, and {free / 1e9:,.1f} are free. "
            f"Set parts={PARTS_PER_BUDGET * -(-needed // free)}, or method=density."
        )
    return parts


def chosen_by_density(latent_set: LatentSet, config: SelectConfig) -> Choice:
    """From each cluster as many items as its complexity asks for, the least typical, each with one pair."""
    of = candidates(latent_set, config.modality)
    num = min(len(of), config.clusters or max(1, min(CLUSTERS, len(of) // ITEMS_PER_CLUSTER)))
    with counting("items compared with clusters", len(of)) as advance:
        clusters = clustered(of.unit, len(of), num, config.seed, advance)
    return _of_items(of, least_typical(clusters, min(config.size, len(of))), config, {"clusters": num})


def chosen_representative(latent_set: LatentSet, config: SelectConfig) -> Choice:
    """Items that stand for all others, by facility location, each with one pair."""
    of = candidates(latent_set, config.modality)
    needed = 2 * 4 * len(of) * of.dim + BYTES_OF_AN_EDGE * len(of) * (config.neighbours + 1)
    if needed > MOST_BYTES:
        raise ConfigError(
            f"facility takes {needed / 1e9:,.0f} GB for {len(of):,} items with {config.neighbours} neighbours, which "
            "is too much. Set method=density, or fewer neighbours."
        )
    with counting("items whose neighbours are found", len(of)) as advance:
        graph = neighbour_graph(of.unit(), config.neighbours, advance)
    size = min(config.size, len(of))
    with counting("items chosen", size) as advance:
        chosen = representatives(graph, size, advance)
    return _of_items(of, chosen.rows, config, {"worth": float(chosen.gains.sum() / len(of))})


def _of_items(of: Candidates, positions: np.ndarray, config: SelectConfig, found: dict[str, Any]) -> Choice:
    places = of.links_of(positions, config.size, np.random.default_rng(config.seed))
    about = {"modality": of.modality, "num_items": len(of), **found}
    return Choice(places, about | {"num_uniform": max(0, config.size - len(positions))})


def chosen_by_agreement(latent_set: LatentSet, config: SelectConfig) -> Choice:
    """Pairs whose two sides agree most under a model."""
    trained = open_trained(str(config.model), trust_code=config.trust_code)
    device = one_device(config.compute.accelerator, config.compute.devices)
    fitting = fitting_set(Path(config.latents), trained.record)
    model = trained.model.to(device)
    cosines = np.full(len(latent_set.links), -np.inf, dtype=np.float32)
    usable = fitting.left.has_latents[latent_set.links[:, 0]] & fitting.right.has_latents[latent_set.links[:, 1]]
    places = np.flatnonzero(usable)
    if len(places) < config.size:
        raise ConfigError(
            f"size is {config.size:,}, but only {len(places):,} pairs of {config.latents} have latents of the model's "
            "encoders. Give a smaller size."
        )
    with counting("pairs compared", len(places)) as advance:
        for at in range(0, len(places), LINKS_AT_ONCE):
            some = places[at : at + LINKS_AT_ONCE]
            left, right = (
                _embedded(side, rows, lambda items: embed(model, items, device).numpy())
                for side, rows in zip(fitting.sides, latent_set.links[some].T, strict=True)
            )
            cosines[some] = np.einsum("id,id->i", left, right)
            advance(len(some))
    best = np.argsort(-cosines, kind="stable")[: config.size]
    return Choice(np.sort(best), {"least_cosine": float(cosines[best[-1]]), "mean_cosine": float(cosines[best].mean())})


def _embedded(
    side: Any, rows: Int64[np.ndarray, " links"], embedded: Callable[[SideItems], Float32[np.ndarray, "items width"]]
) -> Float32[np.ndarray, "links width"]:
    distinct, places = np.unique(rows, return_inverse=True)
    return embedded(SideItems(side, distinct))[places]


METHODS = MappingProxyType(
    {
        "uniform": chosen_uniformly,
        "kdpp": chosen_diverse,
        "density": chosen_by_density,
        "facility": chosen_representative,
        "filter": chosen_by_agreement,
    }
)
