"""Indexes of the tiny run's data, made by the command itself."""

import shutil

from fusemix.cli.called import run_command
from fusemix.search.folder import Index


def make(tiny, out, data, *options):
    common = ["--model", str(tiny.run), "--data", str(data), "--out", str(out), "--device", "cpu", "--num-workers", "0"]
    return run_command("index", [*common, *options])


def content(folder):
    opened = Index(folder)
    everywhere = list(range(opened.num_items))
    return {
        item["id"]: vector for item, vector in zip(opened.items(everywhere), opened.vectors(everywhere), strict=True)
    }


def photos(folder, files):
    folder.mkdir(parents=True)
    for number, path in enumerate(files):
        shutil.copy(path, folder / f"{number}.png")
    return folder
