"""Stages two and three and use on the device, after caching: train, load, encode; evaluate, index and search."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gpu_parts.caching import DTYPES, cached, pictures
from gpu_parts.context import Context, judged, milliseconds


def use(context: Context) -> dict[str, Any]:
    """A run on the cached set encodes files and texts on the device as it does on a CPU, and as evaluation does."""
    from fusemix.api.stages import train
    from fusemix.models.model import load

    where, run = context.folder / "cached" / "all", context.folder / "use"
    where = where if where.exists() else cached(context, "cached")
    names = {modality: [f"{modality}_{DTYPES[1]}"] for modality in ("image", "text")}
    optim = {"batch_size": 4 if context.tiny else 64, "max_epochs": 1, "warmup_steps": 2}
    given = {"train": where, "holdout": 0.25, "encoders": names, "embedding_dim": 16, "optim": optim, "out": run}
    train(**given, compute=context.compute, adapter="linear", preprocess=["l2"])
    here, there = (load(run, device=device) for device in (str(context.device), "cpu"))
    folder, captions = pictures(context)
    files = [str(file) for file in sorted(folder.iterdir())[:8]]
    texts = [line.split(",", 1)[1] for line in captions.read_text().splitlines()[1:513]]
    began = time.monotonic()
    images = here.encode(images=files, progress=False)
    found: dict[str, Any] = {"first_encode_sec": time.monotonic() - began}
    apart = [
        float(np.abs(images - there.encode(images=files, progress=False)).max()),
        float(np.abs(here.encode(texts=texts[:8]) - there.encode(texts=texts[:8])).max()),
    ]
    found["largest_difference"] = max(apart)
    found["one_text_ms"] = milliseconds(lambda: here.encode(texts=texts[0], progress=False), context.device, 5)
    took = milliseconds(lambda: here.encode(texts=texts, batch_size=256, progress=False), context.device, 1, 0)
    found["texts_per_sec"] = 1e3 * len(texts) / took
    claims = {"vectors are those of a CPU": max(apart) < 0.02}
    return judged(found | searched(context, run, where, claims), claims)


def searched(context: Context, run: Path, where: Path, claims: dict[str, bool]) -> dict[str, Any]:
    """Evaluation and a search in an index, where FAISS is there."""
    if "faiss" in context.missing:
        return {"evaluated_and_searched": "no faiss"}
    from fusemix.api.stages import eval_retrieval
    from fusemix.cli.called import run_command
    from fusemix.models.queries import Query, summed
    from fusemix.wiring.searching.searcher import Searcher

    out = context.folder / "index"
    report = eval_retrieval(
        model=run, latents=where, out=context.folder / "report", num_examples=0, compute=context.compute
    )
    run_command(
        "index", [f"model={run}", f"latents={where}", f"out={out}", f"compute={context.compute}", "num_workers=0"]
    )
    searcher = Searcher(str(out), None, str(context.device))
    searcher.load()
    query = Query("image", next(iter(sorted((context.folder / "pictures").iterdir()))).read_bytes())
    (hits,) = searcher.search(summed(searcher.embed([query]), searcher.weights([query]))[None], 5)
    claims["a picture is found by itself"] = hits[0].score > 0.99
    recall = report.metrics["mean_recall"]
    return {"mean_recall": recall, "hits": len(hits), "threads": torch.get_num_threads()}
