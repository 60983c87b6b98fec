"""A ranking as plain data, for JSON and for reports.

Place in the flow: Plan, Ranking -> dict -> reports/encoders/report.py.
"""

from typing import Any

import numpy as np

from fusemix.latents.labels import Labels
from fusemix.similarity.phases import Diagnosis, Way, middle
from fusemix.wiring.ranking.plan import Plan
from fusemix.wiring.ranking.scores import Prepared, Ranking, directions

BOUNDS = (0.025, 0.975)
"""Between them lie 95 % of the halves."""


def plain(plan: Plan, ranking: Ranking) -> dict[str, Any]:
    """Everything that was found, and on what."""
    latent_set = plan.latent_set
    sides = zip(latent_set.sides, ranking.stores, strict=True)
    labels = plan.labels if isinstance(plan.labels, Labels) else None
    return {
        "latents": {"name": latent_set.name, "folder": str(latent_set.folder)},
        "modalities": [side.modality for side in latent_set.sides],
        "directions": list(directions(plan)),
        "counts": {"links": len(latent_set.links), "pairs": len(plan.pairs), "gallery": ranking.gallery},
        "stores": {side.modality: [_store(store) for store in stores] for side, stores in sides},
        "labels": labels and {"about": labels.about, "names": labels.names},
        "why_no_diagnosis": ranking.why_no_diagnosis or None,
        "chance": ranking.chance,
        "ranking": [
            {
                "left": each.left,
                "right": each.right,
                "figures": each.figures,
                "intervals": {name: list(interval) for name, interval in each.intervals.items()},
                "ridge": each.ridge,
                "diagnosis": each.diagnosis and _diagnosis(each.diagnosis),
            }
            for each in ranking.scored
        ],
        "identity": plan.about(),
    }


def _store(store: Prepared) -> dict[str, Any]:
    return {"name": store.name, "dim": store.dim, "constant_dims": store.num_constant}


def _diagnosis(found: Diagnosis) -> dict[str, Any]:
    return {
        "regime": found.regime,
        "shares": found.shares,
        "predict": found.direction,
        "components": found.num_components,
        "ways": {name: _way(way) for name, way in found.ways.items()},
    }


def _way(way: Way) -> dict[str, Any]:
    told = {}
    for name, values in way._asdict().items():
        bounds = np.quantile(values, BOUNDS, method="nearest").tolist()
        told[name] = {"median": _finite(middle(values)), "range": [_finite(float(bound)) for bound in bounds]}
    return told


def _finite(value: float) -> float | None:
    """JSON has no infinity: None, where no nuisance component has any value."""
    return value if np.isfinite(value) else None
