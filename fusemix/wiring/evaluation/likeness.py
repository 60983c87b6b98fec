"""How near generated pictures are to real ones: all figures of their features, with intervals.

Place in the flow: Seen of both folders -> fidelity/ -> figures of the report.
"""

from typing import NamedTuple

import numpy as np
import torch

from fusemix.fidelity.frechet import frechet, num_distances
from fusemix.fidelity.kernel import kernel_distance
from fusemix.fidelity.neighbours import Nearest, mean_interval, nearest_by_cosine, neighbours, share_interval
from fusemix.progress import counting
from fusemix.wiring.evaluation.pictures import Seen


class Likeness(NamedTuple):
    """What was measured.

    Attributes:
        figures: by their names in the report; those that cannot be told are not there.
        intervals: 95 %, of those that have one.
        chance: what a figure is among the real pictures themselves.
        nearest: of each generated picture the nearest real one.
    """

    figures: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    chance: dict[str, float]
    nearest: Nearest


def likeness(generated: Seen, reference: Seen, *, k: int, near_copy: float, seed: int, device: str) -> Likeness:
    """Measure.

    Args:
        generated, reference: more than `k` pictures each.
        k: neighbours.
        near_copy: cosine from which on a picture is a near copy.
        seed: of blocks and of the extrapolation.
        device: that computes, in float64.
    """
    where = device if device.startswith("cuda") else "cpu"
    made, real = (torch.from_numpy(side.features).to(where) for side in (generated, reference))
    with counting("distances", num_distances((len(made), len(real)), made.shape[1])) as advance:
        distance = frechet(made, real, seed=seed, advance=advance)
    kernel = kernel_distance(made, real, seed=seed)
    around = neighbours(made, real, k)
    nearest, among = nearest_by_cosine(made, real), nearest_by_cosine(real, real, are_same=True)
    copies = nearest.cosines >= near_copy
    shares = {"precision": around.precision, "recall": around.recall, "coverage": around.coverage}
    shares["near_copies"] = copies
    figures = {
        "frechet_distance": distance.distance,
        "frechet_distance_unbiased": distance.unbiased,
        "kernel_distance": kernel.distance,
        **{name: float(holds.mean()) for name, holds in shares.items()},
        "density": float(around.density.mean()),
    }
    intervals = {
        "frechet_distance": distance.interval,
        "kernel_distance": kernel.interval,
        **{name: share_interval(holds) for name, holds in shares.items()},
        "density": mean_interval(around.density),
    }
    return Likeness(
        {name: value for name, value in figures.items() if value is not None},
        {name: value for name, value in intervals.items() if value is not None},
        {"near_copies": float(np.mean(among.cosines >= near_copy))},
        nearest,
    )
