"""Stage 3, wired: the set to measure on, its embeddings, and what shows its items.

Place in the flow: EvalConfig + a trained run -> LatentSet, embeddings, readers of pictures, sounds and texts.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from fusemix.build.training_data import require_same_encoders
from fusemix.config import EvalConfig
from fusemix.datasets import DATASETS
from fusemix.fusion.model import FusionModel
from fusemix.interfaces import Content, Items
from fusemix.latents.galleries import Gallery
from fusemix.latents.sets import LatentSet, Side

ROWS_AT_ONCE = 8192


def evaluation_set(config: EvalConfig, record: Mapping[str, Any]) -> LatentSet:
    """The latent set to measure on, made by the encoders that the model was trained with.

    Raises:
        ConfigError: the model knows nothing of a modality.
        RunError: it was made by others.
    """
    latent_set = LatentSet(Path(config.latents), record["config"]["encoders"])
    for side in latent_set.sides:
        require_same_encoders(config.latents, side.modality, record["encoders"][side.modality], side)
    return latent_set


def embed(model: FusionModel, side: Side, rows: Int64[np.ndarray, " rows"], device: str) -> Float[Tensor, "rows dim"]:
    """Embeddings of some items of a side, on the CPU, in float32."""
    parts = []
    with torch.inference_mode():
        for at in range(0, len(rows), ROWS_AT_ONCE):
            latents = torch.from_numpy(side.take(rows[at : at + ROWS_AT_ONCE]))
            parts.append(model.embed(side.modality, latents.to(device)).cpu())
    return torch.cat(parts)


def content_readers(
    latent_set: LatentSet, gallery: Gallery, decode: Callable[[str, Any], Content]
) -> tuple[Callable[[int], Content], Callable[[int], Content]]:
    """For the left and the right: position in the gallery -> picture, sound or text.

    They are read out of the data set that the latents were made from. What cannot be shown any more (the
    files moved, the hub is out of reach) is shown by its id.
    """
    source = latent_set.description["source"]
    try:
        pairs = DATASETS.build(source["name"], source["options"], split=latent_set.description["split"])
        items: tuple[Items | None, Items | None] = pairs.sides
    except Exception:  # any data set, also a user's own, may fail in any way; a picture is not worth the report
        items = (None, None)

    def reader(which: int) -> Callable[[int], Content]:
        side, rows, source_items = latent_set.sides[which], gallery.rows[which], items[which]

        def read(position: int) -> Content:
            row = int(rows[position])
            item = side.table["id"][row].as_py()
            try:
                return decode(side.modality, source_items.read(row)) if source_items else item
            except Exception:
                return item

        return read

    return reader(0), reader(1)
