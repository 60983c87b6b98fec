"""Latents as a shard holds them: in the dtype of the store, and NaN where an item has none.

Place in the flow: what an encoder gave -> storable -> writer.py.
"""

import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from fusemix.interfaces import Rejected


def storable(
    ids: Sequence[str], latents: Float[np.ndarray, "rows dim"], rejected: Sequence[Rejected], dtype: str
) -> tuple[Float[np.ndarray, "rows dim"], list[Rejected]]:
    """Latents as they are stored, and all items that have none: those that are not finite as stored are added.

    Args:
        ids: of the items.
        latents: of these; rows of rejected items are ignored.
        rejected: items that have no latent.
        dtype: of the store.
    """
    rejected = [*rejected, *_not_storable(ids, latents, {item.id for item in rejected}, dtype)]
    bad = {item.id for item in rejected}
    with np.errstate(over="ignore"):
        stored = np.array(latents, dtype=dtype, order="C")
    stored[[place for place, item in enumerate(ids) if item in bad]] = np.nan
    return stored, rejected


def _not_storable(
    ids: Sequence[str], latents: Float[np.ndarray, "rows dim"], known: set[str], dtype: str
) -> list[Rejected]:
    largest = np.abs(latents).max(axis=1)
    limit = np.finfo(dtype).max
    found = []
    for i in np.flatnonzero(~(largest <= limit)).tolist():  # also where largest is NaN
        if np.isfinite(latents[i]).all():
            reason = f"a value of {largest[i]:.4g} is too large for {dtype}; store with dtype=float32"
        else:
            reason = "the encoder gave NaN or infinity"
        if ids[i] not in known:
            found.append(Rejected(ids[i], "encode", reason))
    return found


def rounded(latents: Float[np.ndarray, "items latent_dim"], dtype: str) -> Float[np.ndarray, "items latent_dim"]:
    """Latents as a store of a dtype holds them; a row that is not finite in it, which no store would hold, is NaN."""
    with np.errstate(over="ignore"):
        stored = latents.astype(dtype)
    stored[~np.isfinite(stored).all(axis=1)] = np.nan
    return stored


def npy_of(stored: Float[np.ndarray, "rows dim"]) -> bytes:
    """The bytes of a shard's file."""
    buffer = io.BytesIO()
    np.save(buffer, stored, allow_pickle=False)
    return buffer.getvalue()
