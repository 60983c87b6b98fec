"""Embeddings of latents that are cached: no encoder is needed for them.

Place in the flow: FusionModel + SideItems -> embeddings. Not here: pictures, texts and sounds themselves
(embedder.py).
"""

from typing import Any

import torch
from jaxtyping import Float32
from torch import Tensor
from torch.nn import functional as F

from fusemix.errors import RunError
from fusemix.fusion.checkpoints import about, weights_sha256
from fusemix.fusion.model import FusionModel
from fusemix.latents.galleries import SideItems
from fusemix.machine.parallel import added_up, stop_if_another_failed
from fusemix.retrieval.tiles import ALONE, Share

ROWS_AT_ONCE = 8192


def embed(model: FusionModel, items: SideItems, device: str) -> Float32[Tensor, "items width"]:
    """Embeddings of some items of a side, on the CPU, in float32; the model is on `device`.

    Raises:
        RunError: the model gives NaN or infinity for some of them.
    """
    return completed(own_embeddings(model, items, device), items)


def own_embeddings(
    model: FusionModel, items: SideItems, device: str, share: Share = ALONE
) -> Float32[Tensor, "items width"]:
    """This process's share of the embeddings of some items, and zeros elsewhere; see `embed`."""
    # Filled in place: for a million items, parts and the whole would take twice the memory.
    found = torch.zeros(len(items), model.width)
    for at in range(share.rank * ROWS_AT_ONCE, len(items), share.num_processes * ROWS_AT_ONCE):
        stop_if_another_failed()
        latents = torch.from_numpy(items.latents(at, at + ROWS_AT_ONCE)).to(device)
        with torch.inference_mode():
            found[at : at + ROWS_AT_ONCE] = model.embed(items.modality, latents).float().cpu()
    items.side.release()
    return found


def completed(
    found: Float32[Tensor, "items width"], items: SideItems, share: Share = ALONE
) -> Float32[Tensor, "items width"]:
    """The embeddings of all processes, in each of them.

    Raises:
        RunError: some are NaN or infinite; in all processes alike.
    """
    found = added_up(found) if share.num_processes > 1 else found
    broken = torch.nonzero(~found.sum(dim=1).isfinite())[:, 0].tolist()
    if broken:
        raise RunError(
            f"{items.side.folder}: the model gives NaN or infinity for {len(broken):,} of {len(items):,} "
            f"{items.modality} items, such as {items.id(broken[0])!r}, and such embeddings cannot be ranked. Training "
            "went astray (see metrics.csv of the run; train again, with a lower optim.lr), or latents are damaged "
            "(`fusemix verify`)."
        )
    return found


def unit_latents(items: SideItems) -> Float32[Tensor, "items dim"]:
    """Latents at unit length, in float32; of several stores side by side, so that cosines are the mean of theirs."""
    found = torch.empty(len(items), items.side.dim)
    for at in range(0, len(items), ROWS_AT_ONCE):
        stores = torch.from_numpy(items.latents(at, at + ROWS_AT_ONCE)).float().split(items.side.dims, dim=1)
        beside = torch.cat([F.normalize(store, dim=-1) for store in stores], dim=1)
        found[at : at + ROWS_AT_ONCE] = beside / len(stores) ** 0.5
    items.side.release()
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
