"""Embeddings of latents that are cached: no encoder is needed for them.

Place in the flow: FusionModel + one side of a latent set -> embeddings. Not here: pictures, texts and sounds themselves
(embedder.py).
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor
from torch.nn import functional as F

from fusemix.errors import RunError
from fusemix.fusion.checkpoints import about, weights_sha256
from fusemix.fusion.model import FusionModel
from fusemix.latents.sets import Side
from fusemix.machine.parallel import added_up, stop_if_another_failed
from fusemix.retrieval.tiles import ALONE, Share

ROWS_AT_ONCE = 8192


def embed(model: FusionModel, side: Side, rows: Int64[np.ndarray, " rows"], device: str) -> Float32[Tensor, "rows dim"]:
    """Embeddings of some items of a side, on the CPU, in float32.

    Args:
        model: on `device`.
        side: of a latent set.
        rows: of the items.
        device: to compute on.

    Raises:
        RunError: the model gives NaN or infinity for some of them.
    """
    return completed(own_embeddings(model, side, rows, device), side, rows)


def own_embeddings(
    model: FusionModel, side: Side, rows: Int64[np.ndarray, " rows"], device: str, share: Share = ALONE
) -> Float32[Tensor, "rows dim"]:
    """This process's share of the embeddings of some items, and zeros elsewhere; see `embed`."""

    def some(start: int, stop: int) -> Float32[Tensor, "some dim"]:
        latents = torch.from_numpy(side.take(rows[start:stop]))
        with torch.inference_mode():
            return model.embed(side.modality, latents.to(device)).float().cpu()

    # Filled in place: for a million items, parts and the whole would take twice the memory.
    found = torch.zeros(len(rows), some(0, 1).shape[1])
    for at in range(share.rank * ROWS_AT_ONCE, len(rows), share.num_processes * ROWS_AT_ONCE):
        stop_if_another_failed()
        found[at : at + ROWS_AT_ONCE] = some(at, at + ROWS_AT_ONCE)
    side.release()
    return found


def completed(
    found: Float32[Tensor, "rows dim"], side: Side, rows: Int64[np.ndarray, " rows"], share: Share = ALONE
) -> Float32[Tensor, "rows dim"]:
    """The embeddings of all processes, in each of them.

    Raises:
        RunError: some are NaN or infinite; in all processes alike.
    """
    found = added_up(found) if share.num_processes > 1 else found
    broken = torch.nonzero(~found.sum(dim=1).isfinite())[:, 0].tolist()
    if broken:
        first = side.table["id"][int(rows[broken[0]])].as_py()
        raise RunError(
            f"{side.folder}: the model gives NaN or infinity for {len(broken):,} of {len(rows):,} {side.modality} "
            f"items, such as {first!r}, and such embeddings cannot be ranked. Training went astray (see "
            "metrics.csv of the run; train again, with a lower optim.lr), or latents are damaged (`fusemix verify`)."
        )
    return found


def unit_latents(side: Side, rows: Int64[np.ndarray, " rows"]) -> Float32[Tensor, "rows dim"]:
    """Latents at unit length, in float32; of several stores side by side, so that cosines are the mean of theirs."""
    found = torch.empty(len(rows), side.dim)
    for at in range(0, len(rows), ROWS_AT_ONCE):
        stores = torch.from_numpy(side.take(rows[at : at + ROWS_AT_ONCE])).float().split(side.dims, dim=1)
        beside = torch.cat([F.normalize(store, dim=-1) for store in stores], dim=1)
        found[at : at + ROWS_AT_ONCE] = beside / len(stores) ** 0.5
    side.release()
    return found


def about_run(run: str, name: str, checkpoint: dict[str, Any]) -> dict[str, Any]:
    """What a report says about the model.

    Args:
        run: its folder.
        name: of the checkpoint, `best` or `last`.
        checkpoint: itself.
    """
    record = about(checkpoint)
    return {
        "run": run,
        "checkpoint": name,
        "epoch": int(checkpoint["epoch"]),
        "weights_sha256": weights_sha256(checkpoint),
        "train": record["train"]["name"],
        "validation": record["validation"]["name"],
        "config": record["config"],
    }
