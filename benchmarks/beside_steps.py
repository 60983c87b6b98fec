"""What a run does beside its steps, at the paper's size, for benchmarks/train.py: each as time a step waits for it.

Five million made-up pairs, as pairs and with captions that repeat as words do (Zipf); 40,960 of them a step, 122 steps
an epoch; adapters of 1536 + 1024 with 4 + 4 blocks and AdamW. There are no latents: these are what `data` times.

    order        the epoch's order, which the step waits for where it is not drawn yet when the epoch begins
    batch        a batch out of it, which the thread that gathers latents draws
    checkpoint   the copy of a state that the epoch's end waits for; the file is written meanwhile
    validation   embeddings of the items that an epoch is chosen on, and their ranks

On a CPU, validation is timed on fewer items and stands for more: embeddings as their number, ranks as its square.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor
from torch.nn import functional as F

from fusemix.fusion.model import FusionModel
from fusemix.fusion.snapshots import Writer
from fusemix.latents.batches import Links
from fusemix.latents.galleries import MOST_CHOSEN_AMONG, Gallery
from fusemix.latents.loader import LatentData
from fusemix.latents.training_sets import TrainingSet
from fusemix.models.scoring import retrieval_scorer
from train import ON_GPU, Timer, here

PAIRS, LOADED = 5_000_000, 2 * ON_GPU.batch
STEPS = PAIRS // LOADED
REPEATED, PHRASES, SLOPE = 0.4, 200_000, 1.25
"""Share of captions that repeat, out of how many, and how fast they get rarer: about Visual Genome's."""
ON_A_CPU = 2_000
"""Items that stand for those of a validation."""


class MadeUp(TrainingSet):
    """Links without a set."""

    def __init__(self, links: Int64[np.ndarray, "links 2"]) -> None:
        self.name, self.links, self._weight, self._seed = "", Links(links), 1.0, 0
        self.pairs_per_step, self.num_batches = LOADED, STEPS


def made_up_links(*, repeated: float) -> Int64[np.ndarray, "links 2"]:
    generator = np.random.default_rng(0)
    often = generator.zipf(SLOPE, PAIRS) % PHRASES
    captions = np.where(generator.random(PAIRS) < repeated, often, PHRASES + np.arange(PAIRS))
    return np.column_stack([np.arange(PAIRS), np.unique(captions, return_inverse=True)[1]])


def of_data(repeated: float) -> dict[str, float]:
    """Seconds an epoch: drawing its order; waiting for it where it was begun before; drawing all batches."""
    data = LatentData([MadeUp(made_up_links(repeated=repeated))], parts=2, latents_on="device", seed=0)
    start = time.perf_counter()
    data.draw_ahead(0)
    data._coming[0].result()
    drawn = time.perf_counter()
    data.train_dataloader()
    waited = time.perf_counter()
    assert data._begun is not None, "it was just drawn"
    for _ in data._begun[1]:
        pass
    found = {"drawn": drawn - start, "order": waited - drawn, "batch": time.perf_counter() - waited}
    data.teardown("fit")
    return found


def paper_model(device: torch.device) -> FusionModel:
    options = {"num_blocks": ON_GPU.blocks, "dropout": ON_GPU.dropout}
    adapter = ("residual_mlp", options)
    return FusionModel(
        dims={"image": [ON_GPU.widths[0]], "text": [ON_GPU.widths[1]]},
        embedding_dim=ON_GPU.embedding_dim,
        adapters={"image": adapter, "text": adapter},
        preprocess=[],
        temperature=0.07,
        closed_form=0.0,
    ).to(device)


def of_checkpoint(model: FusionModel, device: torch.device) -> dict[str, float]:
    """Seconds that an epoch's end waits, once there is memory to copy to, and that writing takes meanwhile; bytes."""
    weights = model.state_dict()
    moments = [{"exp_avg": torch.zeros_like(one), "exp_avg_sq": torch.zeros_like(one)} for one in weights.values()]
    state = {"state_dict": weights, "optimizer_states": moments}
    with tempfile.TemporaryDirectory() as folder:
        writer = Writer(every_sec=0.0)
        writer.take((0, 0), state, Path(folder) / "best.ckpt")
        writer.take((0, 0), state, Path(folder) / "last.ckpt")
        start = time.perf_counter()
        writer.write_if_due()
        assert writer._writing is not None, "it was due"
        writer._writing[1].result()
        wrote, timer = time.perf_counter() - start, Timer(device)
        writer.take((1, 1), state, Path(folder) / "last.ckpt")
        found = {"checkpoint": timer.seconds(), "written": wrote}
        found["bytes"] = float((Path(folder) / "best.ckpt").stat().st_size)
        writer.finish()
    return found


def of_validation(model: FusionModel, device: torch.device) -> dict[str, float]:
    """Seconds of a validation: embedding, and ranking."""
    items = MOST_CHOSEN_AMONG if device.type == "cuda" else ON_A_CPU
    more, rows = MOST_CHOSEN_AMONG / items, np.arange(items)
    gallery = Gallery(rows, rows, np.column_stack([rows, rows]))
    scorer = retrieval_scorer(gallery, ("image", "text"))
    assert scorer is not None, "there is a gallery"
    seconds = {"embedded": 0.0, "ranked": 0.0}
    for _ in range(2):  # the second time counts
        timer = Timer(device)
        _embedded(model, items, device)
        seconds["embedded"] = timer.seconds() * more
        left, right = (F.normalize(torch.randn(items, ON_GPU.embedding_dim, device=device), dim=1) for _ in range(2))
        timer = Timer(device)
        scorer(left, right)
        seconds["ranked"] = timer.seconds() * more**2
    return {**seconds, "validation": sum(seconds.values())}


@torch.no_grad()
def _embedded(model: FusionModel, items: int, device: torch.device) -> list[Tensor]:
    model.eval()
    sizes = [min(8192, items - at) for at in range(0, items, 8192)]
    sides = zip(("image", "text"), ON_GPU.widths, strict=True)
    return [model.embed(name, torch.randn(rows, width, device=device)) for name, width in sides for rows in sizes]


def figures(folder: Path) -> dict[str, Any]:
    """Seconds an epoch, by name; nothing is read from the folder."""
    device, _ = here()
    model = paper_model(device)
    return {
        "pairs": of_data(0.0),
        "repeated": of_data(REPEATED),
        "checkpoint": of_checkpoint(model, device),
        "validation": of_validation(model, device),
    }


def rows_of(found: dict[str, Any], step: float) -> list[tuple[str, float, float, str]]:
    """Name, seconds that a step waits or its threads work, share of a step, and what is to be said of it."""
    pairs, repeated, checkpoint, validation = (found[key] for key in ("pairs", "repeated", "checkpoint", "validation"))
    rows = [
        ("order", pairs["order"], f"drawn in {pairs['drawn']:.1f} s, before"),
        ("order, captions repeat", repeated["order"], f"drawn in {repeated['drawn']:.1f} s, before"),
        ("batch", pairs["batch"], "in a thread"),
        ("batch, captions repeat", repeated["batch"], "in a thread"),
        (
            "checkpoint",
            checkpoint["checkpoint"],
            f"{checkpoint['bytes'] / 1e9:.1f} GB in {checkpoint['written']:.1f} s",
        ),
        ("validation", validation["validation"], f"{MOST_CHOSEN_AMONG:,} items, {validation['ranked']:.1f} s of ranks"),
    ]
    return [(name, seconds / STEPS, seconds / STEPS / step, note) for name, seconds, note in rows]
