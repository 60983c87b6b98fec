"""What belongs together among two arrays that somebody has in memory.

Place in the flow: keywords of `fit` and `evaluate` -> Pairs: latents of two modalities and their links.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int64
from torch import Tensor

from fusemix.errors import ConfigError
from fusemix.models.given_latents import GivenLatents
from fusemix.models.model import KEYWORDS


class Pairs(NamedTuple):
    """Two arrays and what belongs together.

    Attributes:
        sides: modality -> latents, the left side first.
        links: (row of the left, row of the right), each once.
    """

    sides: dict[str, GivenLatents]
    links: Int64[np.ndarray, "links 2"]


def pairs_of(given: Mapping[str, Any], links: Any) -> Pairs:
    """Two arrays and their links, checked.

    Args:
        given: keyword of a modality -> its latents; None where there are none.
        links: int array of (row of the first, row of the second), in the order of KEYWORDS; None pairs row i with
            row i.

    Raises:
        ConfigError: there are not two arrays, one is none of latents, or links do not fit.
    """
    named = [keyword for keyword in KEYWORDS if given.get(keyword) is not None]
    if len(named) != 2:
        raise ConfigError(
            f"two modalities are aligned, and {len(named)} were given ({', '.join(named) or 'none'}). Give two of "
            f"{', '.join(f'{keyword}=' for keyword in KEYWORDS)}."
        )
    left, right = (GivenLatents(keyword, given[keyword]) for keyword in named)
    found = _row_with_row(left, right) if links is None else _links_of(links, left, right)
    return Pairs({KEYWORDS[named[0]]: left, KEYWORDS[named[1]]: right}, found)


def _row_with_row(left: GivenLatents, right: GivenLatents) -> Int64[np.ndarray, "links 2"]:
    if len(left) != len(right):
        raise ConfigError(
            f"{left.name} has {len(left):,} rows and {right.name} {len(right):,}, and without links row i belongs to "
            f"row i. Give links, an int array of (row of {left.name}, row of {right.name})."
        )
    return np.column_stack([np.arange(len(left))] * 2)


def _links_of(links: Any, left: GivenLatents, right: GivenLatents) -> Int64[np.ndarray, "links 2"]:
    found = np.asarray(links.detach().cpu() if isinstance(links, Tensor) else links)
    what = f"(row of {left.name}, row of {right.name})"
    if found.ndim != 2 or found.shape[1] != 2 or found.dtype.kind not in "iu":
        raise ConfigError(
            f"links is {found.dtype} of the shape {found.shape}, but must be an int array of (links, 2): {what}."
        )
    for column, side in enumerate((left, right)):
        outside = np.flatnonzero((found[:, column] < 0) | (found[:, column] >= len(side)))
        if len(outside):
            place = int(outside[0])
            raise ConfigError(
                f"links[{place}, {column}] is {found[place, column]}, but {side.name} has rows 0 to {len(side) - 1:,}; "
                f"{len(outside):,} links name rows that are not there. A link is {what}."
            )
    found = found.astype(np.int64)
    unique, first = np.unique(found, axis=0, return_index=True)
    return found if len(unique) == len(found) else found[np.sort(first)]
