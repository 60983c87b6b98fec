"""Encoders that are named for latents which were imported: nothing says what made these, so the latents themselves do.

Place in the flow: encoders named by the user + a latent set with readable items -> the same latents, or a message.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from fusemix.errors import FusemixError, RunError, UntrustedCodeError
from fusemix.interfaces import Items
from fusemix.latents.description import SET
from fusemix.latents.item_tables import LABELS
from fusemix.latents.sets import LatentSet, Side
from fusemix.models.embedder import Embedder
from fusemix.models.fitting import fitting_set
from fusemix.models.matching import is_imported, names_of
from fusemix.models.recipes import pairs_of
from fusemix.progress import console

COMPARED = 8
"""Items that are encoded again."""
AGREEMENT = 0.05
"""Share of their length by which latents may differ. Half precision and other batches give 0.01; another model, pooling
or prefix, or another length, gives far more."""


def require_same_latents(embedder: Embedder, modality: str, sets: Sequence[Path]) -> None:
    """Encode a few items of a latent set again, where one is at hand, and compare them with what was imported.

    Args:
        embedder: with the encoders that were named.
        modality: whose they are.
        sets: latent sets that may hold latents of the same encoders.

    Raises:
        RunError: the encoders give other latents, or are not those at all.
    """
    wanted = embedder.trained.record["encoders"][modality]
    numbers = [number for number, fingerprint in enumerate(wanted) if is_imported(fingerprint)]
    embedder.encoders(modality)  # says what is wrong with them
    if not numbers:
        return
    found = next((found for folder in sets if (found := _readable(embedder, modality, folder))), None)
    if found is None:
        text = (
            f"no {modality} items whose latents were imported can be read here: their encoders are told by width alone"
        )
        console.print(text, style="yellow")
        return
    side, items, rows = found
    made = embedder.latents(items.take(rows))
    at = np.cumsum([0, *side.dims])
    for number in numbers:
        columns = slice(at[number], at[number + 1])
        name = names_of(embedder.trained)[modality][number]
        _require_near(side, name, made[:, columns], side.take(rows)[:, columns].astype(np.float32))


def _readable(embedder: Embedder, modality: str, folder: Path) -> tuple[Side, Items, np.ndarray] | None:
    """A side with latents of these encoders, its items, and a few rows; None where there are none to be read."""
    try:
        latent_set = fitting_set(folder, embedder.trained.record)
        side = next(side for side in latent_set.sides if side.modality == modality)
        rows = np.flatnonzero(side.valid)
        rows = rows[np.linspace(0, len(rows) - 1, min(COMPARED, len(rows))).astype(np.int64)]
        items = _items(latent_set, side, embedder.trained.trust_code)
        for row in rows.tolist():
            items.read(row)
        return side, items, rows
    except (FusemixError, StopIteration, OSError, ValueError, UntrustedCodeError):
        return None


def _items(latent_set: LatentSet, side: Side, trust_code: bool) -> Items:
    label = next((name for name in LABELS if name in side.table.column_names), None)
    if side.modality == "text" and label:
        words = side.table[label]
        return Items("text", side.table, lambda row: str(words[row].as_py()))
    about = latent_set.description
    pairs = pairs_of(about["source"], about["split"], str(latent_set.folder / SET), trust_code)
    return next(items for items in pairs.sides if items.modality == side.modality)


def _require_near(
    side: Side, name: str, made: Float[np.ndarray, "rows dim"], imported: Float[np.ndarray, "rows dim"]
) -> None:
    lengths = np.linalg.norm(imported, axis=1)
    apart = np.linalg.norm(made - imported, axis=1) / np.maximum(lengths, np.finfo(np.float32).tiny)
    if not np.median(apart) <= AGREEMENT:  # so that NaN is not near either
        raise RunError(
            f"encoders.{name} is not the encoder whose latents were imported: of "
            f"{len(made)} items of {side.folder} its latents differ from them by {np.median(apart):.0%} of their "
            f"length in the middle (lengths: {np.median(lengths):.3g} there, "
            f"{np.median(np.linalg.norm(made, axis=1)):.3g} here). Name the same model with the same pooling, prefix "
            "and normalisation."
        )
