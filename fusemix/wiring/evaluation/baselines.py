"""What a model is compared with: encoders that share a space as they are, or a linear map that is fitted in seconds.

Place in the flow: BaselineConfig, latent sets -> embeddings of the evaluated items.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from fusemix.errors import ConfigError
from fusemix.fusion.closed_form import ClosedForm, LinearMap, canonical_maps, climbed, mapped, pair_moments
from fusemix.interfaces import LatentBatch
from fusemix.latents.batches import split_links
from fusemix.latents.galleries import Gallery, SideItems, gallery_of
from fusemix.latents.sets import LatentSet
from fusemix.models.cached import ROWS_AT_ONCE, unit_latents
from fusemix.models.fitting import require_same_encoders
from fusemix.models.scoring import retrieval_scorer
from fusemix.wiring.evaluation.evaluate import Evaluation, require_other_items, require_same_width

HELD_OUT = 0.1
"""Share of the training links on which a linear map's settings are chosen."""
MOST_HELD_OUT = 5_000
MOST_LINKS = 500_000
"""More tell nothing new about covariances."""
MOST_DIMS = 512


class BaselineSets(NamedTuple):
    """The measured set with a baseline's latents, and the set that its map is fitted on, if it has one."""

    measured: LatentSet
    train: LatentSet | None


def baseline_sets(name: str, evaluation: Evaluation) -> BaselineSets:
    """Open what a baseline needs, and refuse what could not be compared.

    Args:
        name: of the baseline.
        evaluation: in whose settings it stands.

    Raises:
        ConfigError: latents that are to share a space differ in width, items lack latents of these encoders, or the map
            would be fitted on what is measured.
        LatentStoreError: a store is missing.
        RunError: the training set was made by other encoders.
    """
    config = evaluation.config.baselines[name]
    encoders = config.encoders or evaluation.record["config"]["encoders"]
    measured = LatentSet(evaluation.latent_set.folder, encoders)
    _require_latents(name, measured, evaluation.gallery)
    if config.train is None:
        require_same_width(f"baselines.{name}", measured)
        return BaselineSets(measured, None)
    train = LatentSet(Path(config.train), encoders)
    require_other_items(f"baselines.{name}.train", train, measured)
    for side, made in zip(measured.sides, train.sides, strict=True):
        require_same_encoders(config.train, side.modality, side.fingerprints, made, side.accepted)
    return BaselineSets(measured, train)


def baseline_embeddings(
    sets: BaselineSets, gallery: Gallery, seed: int
) -> tuple[tuple[Float32[Tensor, "left dim"], Float32[Tensor, "right dim"]], str]:
    """Embeddings of the measured items, of unit length, and one sentence on what they are.

    Args:
        sets: of the baseline.
        gallery: items that take part.
        seed: of what is drawn.
    """
    latent_set, train = sets
    used = " and ".join("+".join(store.manifest.encoder for store in side.stores) for side in latent_set.sides)
    if train is None:
        left, right = map(unit_latents, gallery.of(latent_set))
        return (left, right), f"Latents of {used} as they are."
    maps, chosen = linear_maps(train, seed)
    left, right = (
        torch.cat([mapped(_latents(items, at, at + ROWS_AT_ONCE), found) for at in range(0, len(items), ROWS_AT_ONCE)])
        for items, found in zip(gallery.of(latent_set), maps, strict=True)
    )
    settings = ", ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in chosen._asdict().items())
    return (left, right), (
        f"Regularised canonical correlation analysis of {used}, fitted on {train.name}; {settings}, chosen on pairs "
        "held out of it."
    )


def linear_maps(train: LatentSet, seed: int) -> tuple[tuple[LinearMap, LinearMap], ClosedForm]:
    """Maps fitted on the links of a set, with settings chosen on a tenth that is held out while choosing.

    Args:
        train: never the set that is measured.
        seed: of what is held out.
    """
    share = min(HELD_OUT, MOST_HELD_OUT / len(train.links))
    fitted, held = split_links(train.links, share, seed)
    gallery = gallery_of(train, held)
    scorer = retrieval_scorer(gallery, (train.left.modality, train.right.modality))
    assert scorer is not None, "a gallery always has a scorer"
    left, right = map(_latents, gallery.of(train))
    moments = pair_moments(_pairs(train, fitted, seed))
    dims = min(MOST_DIMS, left.shape[1], right.shape[1])

    def recall(setting: ClosedForm) -> float:
        maps = canonical_maps(moments, dims=dims, **setting._asdict())
        return scorer(mapped(left, maps[0]), mapped(right, maps[1]))["mean_recall"]

    chosen = climbed(recall)
    return canonical_maps(pair_moments(_pairs(train, train.links, seed)), dims=dims, **chosen._asdict()), chosen


def _latents(items: SideItems, start: int = 0, stop: int | None = None) -> Tensor:
    return torch.from_numpy(items.latents(start, stop)).float()


def _pairs(train: LatentSet, links: Int64[np.ndarray, "links 2"], seed: int) -> Callable[[], Iterable[LatentBatch]]:
    if len(links) > MOST_LINKS:
        links = links[np.sort(np.random.default_rng(seed).choice(len(links), MOST_LINKS, replace=False))]

    def chunks() -> Iterator[LatentBatch]:
        for at in range(0, len(links), ROWS_AT_ONCE):
            left, right = links[at : at + ROWS_AT_ONCE].T
            yield LatentBatch(_latents(SideItems(train.left, left)), _latents(SideItems(train.right, right)))

    return chunks


def _require_latents(name: str, latent_set: LatentSet, gallery: Gallery) -> None:
    for items in gallery.of(latent_set):
        lacking = int((~items.side.has_latents[items.rows]).sum())
        if lacking:
            raise ConfigError(
                f"baselines.{name}: {lacking:,} {items.modality} items that are measured have no latent of these "
                "encoders, so it could not be compared. See quarantine.jsonl below "
                f"{items.side.folder / items.modality}."
            )
