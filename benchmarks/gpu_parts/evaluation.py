"""Evaluation on the device: figures as on a CPU, in the time of the product; validation; FAISS."""

import time
from collections.abc import Iterator
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset

from gpu_parts.context import Context, judged, milliseconds
from gpu_parts.material import built, config_of
from train import Timer

SIDES, KS = ("image", "text"), (1, 5, 10)
SAME = 1e-6
FLICKR30K, COCO = (1_014, 5_070), (5_000, 25_010)


def problem(lefts: int, rights: int, width: int) -> tuple[Tensor, Tensor, np.ndarray]:
    """Embeddings, each right one near the left one that it is linked to; found at once about half of the time."""
    torch.manual_seed(1)
    left = F.normalize(torch.randn(lefts, width), dim=1)
    owners = np.arange(rights) * lefts // rights
    right = F.normalize(left[owners] + 2.4 * torch.randn(rights, width) / width**0.5, dim=1)
    return left, right, np.column_stack([owners, np.arange(rights)])


def evaluation(context: Context) -> dict[str, Any]:
    """Every figure of both directions, on a CPU and here; corrections of hubs; and how long large ones take."""
    from fusemix.retrieval.metrics import flat, measure

    device = context.device
    torch.set_float32_matmul_precision("high")  # as training might leave it; evaluation must not care
    left, right, links = problem(*((50, 200, 16) if context.tiny else (1_000, 5_000, 512)))
    ways = {}
    for name, where in (("cpu", torch.device("cpu")), ("device", device)):
        sides = left.to(where), right.to(where)
        ways[name] = flat(measure(*sides, links, SIDES, KS)), corrected(*sides, links)
    plain, hubs = (
        max(abs(ways["cpu"][place][key] - ways["device"][place][key]) for key in ways["cpu"][place]) for place in (0, 1)
    )
    found: dict[str, Any] = {"largest_difference": plain, "largest_difference_corrected": hubs}
    for name, sizes in {"COCO": COCO, "100,000 by 100,000": (100_000, 100_000)}.items():
        left, right, links = problem(*((40, 200, 16) if context.tiny else (*sizes, 512)))
        left, right = left.to(device), right.to(device)
        torch.set_float32_matmul_precision("highest")
        product = milliseconds(lambda left=left, right=right: all_scores(left, right), device, 1)
        timer = Timer(device)
        measure(left, right, links, SIDES, KS)
        took = 1e3 * timer.seconds()
        found[name] = {"ms": took, "product_ms": product, "times_the_product": took / product}
    claims = {"figures are those of a CPU": plain < SAME, "corrected ones, too": hubs < SAME}
    return judged(found, claims)


def corrected(left: Tensor, right: Tensor, links: np.ndarray) -> dict[str, float]:
    """Figures with hubs corrected, each way."""
    from fusemix.retrieval.evaluation import corrected_figures, folds_of, survey_folds

    folds = folds_of((len(left), len(right)), links, 1)
    survey = survey_folds((left, right), folds, SIDES, KS, with_masses=True)
    found = corrected_figures((left, right), survey, SIDES, KS)
    return {f"{name} {key}": value for name, figures in found.items() for key, value in figures.items()}


def all_scores(left: Tensor, right: Tensor) -> None:
    """The bare product, some columns at a time, of which nothing is kept."""
    for part in right.split(8192):
        left @ part.T  # pyright: ignore[reportUnusedExpression]: its time is all that is wanted


def faiss_gpu(context: Context) -> dict[str, Any]:
    """FAISS on the device beside a CPU, and beside all scores sorted."""
    if "faiss" in context.missing:
        return {"skipped": "no faiss"}
    from fusemix.retrieval.index import gpu_problem, search_exactly

    left, right, _ = problem(*((50, 200, 16) if context.tiny else (*COCO, 512)))
    found: dict[str, Any] = {"why_not": gpu_problem()}
    queries, gallery = left.numpy()[:500], right.numpy()
    began = time.monotonic()
    ours = search_exactly(queries, gallery, 10, use_gpu=context.on_gpu)
    found["ms"] = 1e3 * (time.monotonic() - began)
    wanted = (left[:500].double() @ right.double().T).topk(10).indices.numpy()
    found["agrees"] = float((ours.positions == wanted).mean())
    works = found["why_not"] is None or not context.on_gpu
    return judged(
        found, {"it finds what sorting finds": found["agrees"] > 0.999, "FAISS searches on the device": works}
    )


class Rows(IterableDataset):
    """Latents of both sides, some at a time."""

    def __init__(self, sides: list[Tensor]) -> None:
        self.sides = sides

    def __iter__(self) -> Iterator[tuple[int, str, Tensor]]:
        for modality, side in zip(SIDES, self.sides, strict=True):
            yield from ((0, modality, part) for part in side.split(8192))


class Data(L.LightningDataModule):
    """For validation alone."""

    def __init__(self, sides: list[Tensor]) -> None:
        super().__init__()
        self.rows = Rows(sides)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.rows, batch_size=None)


def validation(context: Context) -> dict[str, Any]:
    """What choosing an epoch costs: embedding and scoring a validation set of Flickr30K's and of COCO's size."""
    from fusemix.fusion.module import Pairing
    from fusemix.latents.galleries import Gallery
    from fusemix.wiring.training.train import retrieval_scorer

    found: dict[str, Any] = {}
    for name, sizes in {"Flickr30K": FLICKR30K, "COCO": COCO}.items():
        lefts, rights = (30, 150) if context.tiny else sizes
        links = np.column_stack([np.arange(rights) * lefts // rights, np.arange(rights)])
        gallery = Gallery(np.arange(lefts), np.arange(rights), links)
        _, module, trainer = built(config_of(context))
        module.pairings = [Pairing("", SIDES, retrieval_scorer(gallery, SIDES))]
        data = Data(
            [torch.randn(count, w).half() for count, w in zip((lefts, rights), context.sizes.widths, strict=True)]
        )
        trainer.validate(module, data, verbose=False)
        timer = Timer(context.device)
        trainer.validate(module, data, verbose=False)
        found[name] = {"ms": 1e3 * timer.seconds()}
    return found
