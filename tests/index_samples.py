"""Indexes of the tiny run's data, made by the command itself."""

import shutil
from pathlib import Path

import numpy as np

from fusemix.cli.called import run_command
from fusemix.latents.description import SET
from fusemix.search.folder import Index


def make(tiny, out, data, *options):
    is_latents = (Path(data) / SET).is_file() or any(Path(data).glob(f"*/{SET}"))
    what = ["--latents" if is_latents else "--data", str(data)]
    common = ["--model", str(tiny.run), *what, "--out", str(out), "--compute.accelerator", "cpu", "--num-workers", "0"]
    return run_command("index", [*common, *options])


def content(folder):
    opened = Index(folder)
    everywhere = list(range(opened.num_items))
    return {
        item["id"]: vector for item, vector in zip(opened.items(everywhere), opened.vectors(everywhere), strict=True)
    }


def asked(searcher, queries):
    """What a searcher is asked by each query alone."""
    return np.concatenate([searcher.embed(queries), searcher.weights(queries)], axis=1)


def photos(folder, files):
    folder.mkdir(parents=True)
    for number, path in enumerate(files):
        shutil.copy(path, folder / f"{number}.png")
    return folder
