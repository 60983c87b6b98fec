"""Every score of every pair of stores: CKA, mutual neighbours, quick recall, and the diagnosis.

Place in the flow: Plan -> Prepared, a store each -> Scored, a pair of stores each -> reports/encoders/.
What a score needs of one store alone is found once. Stores are never concatenated.
"""

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from fusemix.errors import LatentStoreError
from fusemix.fidelity.jackknife import interval_of
from fusemix.latents.labels import Labels
from fusemix.latents.sets import Side
from fusemix.latents.store import LatentStore
from fusemix.retrieval.intervals import Sampled, bootstrap_intervals
from fusemix.retrieval.metrics import chance_recall_at
from fusemix.similarity.cka import Kernel, cka, kernel_of
from fusemix.similarity.neighbours import mutual_by_chance, mutual_share, nearest_items
from fusemix.similarity.phases import Diagnosis, diagnose
from fusemix.similarity.principal import principal_components
from fusemix.wiring.ranking.folds import KS, Asked, FoldedStore, Folds, asked
from fusemix.wiring.ranking.plan import Plan

MOST_DIMS = 384
"""Principal components that the closed form is fitted on: more take longer than they are worth."""
MOST_COMPONENTS, PAIRS_A_COMPONENT = 64, 20
"""Principal components that the diagnosis looks at, and pairs that there must be for each."""
FEWEST_COMPONENTS = 4
CKA, NEIGHBOURS, RECALL = "cka", "mutual_neighbours", "mean_recall"
Interval = tuple[float, float]


class Prepared(NamedTuple):
    """One store, as far as it concerns no other.

    Attributes:
        name: of its folder.
        dim: width.
        num_constant: dimensions that are the same in all pairs.
        kernel, neighbours, folded: for CKA, mutual neighbours and the closed form.
        components: for the diagnosis.
    """

    name: str
    dim: int
    num_constant: int
    kernel: Kernel
    neighbours: Int64[Tensor, "pairs some"]
    folded: FoldedStore
    components: np.ndarray


class Scored(NamedTuple):
    """A pair of stores.

    Attributes:
        left, right: names of the stores.
        figures: CKA, NEIGHBOURS, RECALL, and recalls by `<direction>/recall_at_<k>`; shares are fractions.
        intervals: of each, 95 %.
        ridge: of the closed form.
        diagnosis: where there are labels.
    """

    left: str
    right: str
    figures: dict[str, float]
    intervals: dict[str, Interval]
    ridge: float
    diagnosis: Diagnosis | None


class Ranking(NamedTuple):
    """All pairs of stores.

    Attributes:
        stores: of the left and of the right.
        scored: best recall first.
        chance: what latents that have nothing to do with one another have, by figure.
        gallery: pairs of a fold.
        why_no_diagnosis: a sentence, or nothing.
    """

    stores: tuple[list[Prepared], list[Prepared]]
    scored: list[Scored]
    chance: dict[str, float]
    gallery: int
    why_no_diagnosis: str


def num_stores(plan: Plan) -> tuple[int, int]:
    """Of the left and of the right."""
    left, right = (len(side.stores) for side in plan.latent_set.sides)
    return left, right


def folds_of(plan: Plan) -> Folds:
    """The same folds of pairs for all stores."""
    return Folds.of(len(plan.pairs), np.random.default_rng(plan.config.seed))


def prepared_stores(
    plan: Plan, folds: Folds, advance: Callable[[int], None] = lambda count: None
) -> tuple[list[Prepared], list[Prepared]]:
    """Read the stores of both sides, and find of each what concerns no other.

    Args:
        plan: what is compared.
        folds: of its pairs.
        advance: told the number of stores that were just read.

    Raises:
        LatentStoreError: latents are not finite, or all the same.
    """
    sides: tuple[list[Prepared], list[Prepared]] = ([], [])
    for prepared, side, rows in zip(sides, plan.latent_set.sides, plan.pairs.T, strict=True):
        for store in side.stores:
            prepared.append(_prepared(side, store, rows, plan.config.k, folds))
            advance(1)
    return sides


def ranking_of(
    plan: Plan,
    stores: tuple[list[Prepared], list[Prepared]],
    folds: Folds,
    advance: Callable[[int], None] = lambda count: None,
) -> Ranking:
    """Score every pair of stores.

    Args:
        plan: what is compared.
        stores, folds: of it; see `prepared_stores`.
        advance: told the number of pairs of stores that were just scored.
    """
    found: list[Scored] = []
    for one, other in product(*stores):
        found.append(_scored(plan, one, other, folds))
        advance(1)
    gallery = min(map(len, folds.rows))
    found.sort(key=lambda each: -each.figures[RECALL])
    return Ranking(stores, found, _chance(plan, gallery), gallery, _why_no_diagnosis(plan))


def _num_components(num_pairs: int) -> int:
    return min(MOST_COMPONENTS, num_pairs // PAIRS_A_COMPONENT)


def _why_no_diagnosis(plan: Plan) -> str:
    if isinstance(plan.labels, str):
        return plan.labels
    needed = FEWEST_COMPONENTS * PAIRS_A_COMPONENT
    return "" if len(plan.pairs) >= needed else f"it takes {needed} pairs, and there are {len(plan.pairs)}"


def _prepared(side: Side, store: LatentStore, rows: Int64[np.ndarray, " pairs"], k: int, folds: Folds) -> Prepared:
    latents = torch.from_numpy(store.take(rows)).float()
    store.release()
    where = f"{store.folder}: the latents of the {len(rows):,} {side.modality} items that are compared"
    num_damaged = int((~latents.isfinite()).any(dim=1).sum())
    if num_damaged:
        raise LatentStoreError(
            f"{where} hold NaN or infinity, in {num_damaged:,} of them. Cache them again "
            f"with overwrite=true, or leave the store out with encoders.{side.modality}."
        )
    is_constant = (latents == latents[0]).all(dim=0)
    if is_constant.all():
        raise LatentStoreError(
            f"{where} are all the same, so they tell nothing. Cache them again, or leave the store out with "
            f"encoders.{side.modality}."
        )
    components = principal_components(latents, MOST_DIMS)
    return Prepared(
        store.folder.name,
        store.dim,
        int(is_constant.sum()),
        kernel_of(latents),
        nearest_items(latents, k + 1),
        FoldedStore(components, folds),
        components[:, : _num_components(len(rows))].numpy(),
    )


def _scored(plan: Plan, one: Prepared, other: Prepared, folds: Folds) -> Scored:
    figures: dict[str, float] = {}
    intervals: dict[str, Interval] = {}
    similarity = {CKA: cka(one.kernel, other.kernel), NEIGHBOURS: mutual_share(one.neighbours, other.neighbours)}
    for name, (figure, without) in similarity.items():
        figures[name], intervals[name] = figure, interval_of(figure, [without])
    answers = asked(one.folded, other.folded, folds)
    recalls, of_recalls = _recalls(plan, answers)
    diagnosis = None
    if not _why_no_diagnosis(plan):
        assert isinstance(plan.labels, Labels), "else there is a reason"
        generator = np.random.default_rng(plan.config.seed)  # the same halves for all
        diagnosis = diagnose(one.components, other.components, plan.labels.values, generator)
    return Scored(one.name, other.name, figures | recalls, intervals | of_recalls, answers.ridge, diagnosis)


def directions(plan: Plan) -> tuple[str, str]:
    """Names of both, the query's modality first."""
    left, right = (side.modality for side in plan.latent_set.sides)
    return f"{left}_to_{right}", f"{right}_to_{left}"


def _recalls(plan: Plan, answers: Asked) -> tuple[dict[str, float], dict[str, Interval]]:
    names = [f"recall_at_{k}" for k in KS]
    sampled = [
        Sampled(direction, {name: values[name] for name in (*names, "mean_rank")}, answers.pairs)
        for direction, values in zip(directions(plan), answers.values, strict=True)
    ]
    figures = {f"{each.name}/{name}": float(each.values[name].mean()) for each in sampled for name in names}
    figures[RECALL] = float(np.mean(list(figures.values())))
    intervals = bootstrap_intervals(sampled, seed=plan.config.seed)
    return figures, {name: intervals[name] for name in figures}


def _chance(plan: Plan, gallery: int) -> dict[str, float]:
    depths = np.minimum(np.array(KS), gallery)
    by_chance = chance_recall_at(np.ones(1, dtype=np.int64), gallery, depths).tolist()
    recalls = {
        f"{direction}/recall_at_{k}": value
        for direction in directions(plan)
        for k, value in zip(KS, by_chance, strict=True)
    }
    found = {CKA: 0.0, NEIGHBOURS: mutual_by_chance(plan.config.k, len(plan.pairs))}
    return {**found, **recalls, RECALL: float(np.mean(by_chance))}
