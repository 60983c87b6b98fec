"""Which queries a person is shown: the best, the typical and the worst.

Place in the flow: ranks and scores of all queries of a direction -> positions -> cards of the page.
"""

import numpy as np
from jaxtyping import Float, Int64


def chosen_queries(
    ranks: Int64[np.ndarray, " queries"], scores: Float[np.ndarray, " queries"], count: int
) -> dict[str, Int64[np.ndarray, " chosen"]]:
    """Positions of queries from both ends and from the middle of the order by (rank, -score, position).

    Nothing is drawn at random. No query is in two groups; where there are fewer than three times `count`, the groups
    share them evenly.

    Args:
        ranks: of the first linked item of each query, from 1.
        scores: of the best linked item of each query.
        count: queries a group, from 0.

    Returns:
        `best`, best first; `typical`, better first; `worst`, worst first.

    Raises:
        ValueError: `count` is negative.
    """
    if count < 0:
        raise ValueError(f"count is {count}, but must be 0 or more")
    order = np.lexsort((-scores, ranks))  # stable, so equal queries stay in order of position
    size = len(order)
    num_best = min(count, -(-size // 3))
    num_worst = min(count, -(-(size - num_best) // 2))
    num_typical = min(count, size - num_best - num_worst)
    start = max(num_best, (size - num_typical) // 2)
    return {
        "best": order[:num_best],
        "typical": order[start : start + num_typical],
        "worst": order[::-1][:num_worst],
    }
