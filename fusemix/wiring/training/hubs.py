"""The hubs of a run: banks out of its training items, how strongly validation wants them corrected, and cuts.

Place in the flow: model of the best epoch, LatentData -> hubs.safetensors in the run folder.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from fusemix.encoders.loading import weights_sha256
from fusemix.errors import RunError
from fusemix.fusion.checkpoints import HUBS
from fusemix.fusion.model import FusionModel
from fusemix.latents.distinct import distinct_rows
from fusemix.latents.galleries import SideItems, sampled
from fusemix.latents.loader import LatentData
from fusemix.latents.sampling import sample
from fusemix.latents.training_sets import TrainingSet
from fusemix.models.cached import embed
from fusemix.models.hubs import Cut, Hubs, read_hubs, write_hubs
from fusemix.retrieval.cuts import cut_of
from fusemix.retrieval.hub_correction import Fitted, Sides, best_scores, constants, fitted_strengths
from fusemix.tables import percent

BANK = 10_000
"""Items of a modality in its bank, at most."""
FITTED_ON = 5_000
"""Held-out items of a side that strengths are chosen on, at most."""
LEVELLED_BY = 1_000
"""Items of a bank that ask the other banks where scores of modalities lie, at most."""
KS = (1, 5, 10)


def keep_hubs(place: Path, model: FusionModel, data: LatentData, seed: int) -> list[str]:
    """Write what the run knows of its hubs, where that is not there yet; returns lines for people.

    Args:
        place: run folder.
        model: of its best checkpoint, in evaluation mode, on the device to compute on.
        data: its sets.
        seed: of what is drawn for banks.

    Raises:
        RunError: the model gives NaN or infinity for some items.
    """
    sha256 = weights_sha256(model)
    if _are_there(place / HUBS, sha256, model.width):
        return []
    device = model.log_logit_scale.device
    banks = _banks(model, data, seed, device)
    fitted: dict[str, Fitted] = {}
    cuts: dict[str, Cut] = {}
    for training_set in data.training_sets:
        if training_set.gallery is not None:
            for way, found in _fitted(model, training_set, banks, seed, device):
                fitted[way.name] = found
                if cut := _cut(way, found):
                    cuts[way.name] = cut
    hubs = Hubs(banks, {direction: found.strength for direction, found in fitted.items()}, {}, cuts)
    write_hubs(place / HUBS, hubs._replace(levels=levels_of(hubs, device)), sha256)
    return [_told(fitted), *_told_cuts(cuts)]


def _are_there(path: Path, sha256: str, width: int) -> bool:
    try:
        return read_hubs(path, sha256, width) is not None
    except RunError:  # of an epoch that was the best one before
        return False


def _banks(model: FusionModel, data: LatentData, seed: int, device: torch.device) -> dict[str, Tensor]:
    """Embeddings of training items that were drawn, by modality; of several sets, the first one's."""
    banks: dict[str, Tensor] = {}
    for training_set in data.training_sets:
        for side, column in zip(training_set.train.sides, training_set.links.links.T, strict=True):
            if side.modality not in banks:
                items = [SideItems(side, distinct_rows(column))]
                if side.modality in data.unpaired:
                    items.append(data.unpaired[side.modality])
                banks[side.modality] = _bank(model, items, seed, str(device))
    return banks


def _bank(model: FusionModel, items: Sequence[SideItems], seed: int, device: str) -> Tensor:
    """Of all items together so many, each as likely as any other, and in any order."""
    owner = np.repeat(np.arange(len(items)), [len(some) for some in items])
    place = np.concatenate([np.arange(len(some)) for some in items])
    drawn = sample(np.arange(len(owner)), BANK, seed)
    parts = [SideItems(some.side, some.rows[place[drawn][owner[drawn] == number]]) for number, some in enumerate(items)]
    found = torch.cat([embed(model, part, device) for part in parts if len(part)]).half()
    return found[np.random.default_rng(seed).permutation(len(found))]


class _Way(NamedTuple):
    """Held-out items of a direction; links are (query, item), the bank are training items of the query's modality."""

    query: str
    gallery: str
    sides: Sides
    links: Int64[np.ndarray, "links 2"]
    bank: Tensor

    @property
    def name(self) -> str:
        return f"{self.query}_to_{self.gallery}"


def _fitted(
    model: FusionModel, training_set: TrainingSet, banks: Mapping[str, Tensor], seed: int, device: torch.device
) -> Iterator[tuple[_Way, Fitted]]:
    """What validation says of both directions of a set, and of those within a modality."""
    assert training_set.gallery is not None, "asked before"
    gallery = sampled(training_set.gallery, FITTED_ON, seed)
    left, right = (embed(model, items, str(device)).to(device) for items in gallery.of(training_set.validation))
    one, other = training_set.modalities
    bank, other_bank = (banks[modality].to(left) for modality in (one, other))
    links, turned = gallery.links, gallery.links[:, ::-1].copy()
    there, back = fitted_strengths((left, right), links, (bank, other_bank), _depths(left, right))
    yield _Way(one, other, (left, right), links, bank), there
    yield _Way(other, one, (right, left), turned, other_bank), back
    for modality, side, own_bank, own_links in ((one, left, bank, turned), (other, right, other_bank, links)):
        asking, given, pairs = siblings(own_links)
        if len(asking) >= min(KS[-1], len(given)) > 0:
            sides = side[asking], side[given]
            found, _ = fitted_strengths(sides, pairs, (own_bank, own_bank), _depths(*sides))
            yield _Way(modality, modality, sides, pairs, own_bank), found


def _cut(way: _Way, found: Fitted) -> Cut | None:
    """Of cosines and of corrected scores; None where one of them has none."""
    queries, gallery = (side.contiguous() for side in way.sides)
    taken = [np.zeros(len(gallery), np.float32), constants(way.bank.contiguous(), gallery, found.strength)]
    plain, corrected = (cut_of(queries, gallery, way.links, one) for one in taken)
    return None if plain is None or corrected is None else Cut(plain, corrected)


def _depths(left: Tensor, right: Tensor) -> list[int]:
    return [k for k in KS if k <= min(len(left), len(right))]


def siblings(
    links: Int64[np.ndarray, "links 2"],
) -> tuple[Int64[np.ndarray, " asking"], Int64[np.ndarray, " given"], Int64[np.ndarray, "pairs 2"]]:
    """Items that share a partner, such as captions of one picture: one of them asks for the others.

    Args:
        links: (partner, item).

    Returns:
        Items that ask, items that are to be found, and pairs of positions in both.
    """
    links = links[np.lexsort((links[:, 1], links[:, 0]))]
    links = links[np.sort(np.unique(links[:, 1], return_index=True)[1])]  # of one partner each
    links = links[np.lexsort((links[:, 1], links[:, 0]))]
    partners, first, counts = np.unique(links[:, 0], return_index=True, return_counts=True)
    is_first = np.zeros(len(links), dtype=bool)
    is_first[first[counts > 1]] = True
    is_other = np.isin(links[:, 0], partners[counts > 1]) & ~is_first
    asking, given = links[is_first, 1], links[is_other, 1]
    pairs = np.column_stack([np.searchsorted(partners[counts > 1], links[is_other, 0]), np.arange(len(given))])
    return asking, given, pairs


def levels_of(hubs: Hubs, device: torch.device) -> dict[str, float]:
    """What brings the best items of every modality to the height at which those of another modality are found.

    Args:
        hubs: with banks and strengths.
        device: to compute on.
    """
    banks = {modality: bank.float().to(device) for modality, bank in hubs.banks.items()}
    heights = {way: _height(hubs, banks, *way) for way in product(banks, banks)}
    levels = {}
    for query in banks:
        reference = next((modality for modality in banks if modality != query), query)
        plain = _height(hubs._replace(strengths={}), banks, query, reference)
        levels |= {f"{query}_to_{gallery}": heights[query, gallery] - plain for gallery in banks}
    return levels


def _height(hubs: Hubs, banks: Mapping[str, Tensor], query: str, gallery: str) -> float:
    if query == gallery and len(banks[query]) < 2:
        return 0.0  # it has nothing to find but itself
    taken = hubs.constants(query, gallery, banks[gallery])
    return best_scores(banks[query][:LEVELLED_BY], banks[gallery], taken, are_same=query == gallery)


def _told(fitted: Mapping[str, Fitted]) -> str:
    helped = [
        f"{direction.replace('_', ' ')} {percent(found.plain)} → {percent(found.corrected)} "
        f"(alpha {found.strength.alpha:g}, beta {found.strength.beta:g})"
        for direction, found in fitted.items()
        if found.strength.alpha > 0
    ]
    if not helped:
        return "hubs: no correction helps on validation, so none is used"
    return f"hubs corrected, sum of recalls on validation: {', '.join(helped)}"


def _told_cuts(cuts: Mapping[str, Cut]) -> list[str]:
    if not cuts:
        return []
    told = (f"{direction.replace('_', ' ')} {cut.corrected:.2f}" for direction, cut in cuts.items())
    return [f"scores below which results are more likely wrong than right: {', '.join(told)}"]
