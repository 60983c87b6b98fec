"""For each command that has `overwrite`, what it writes, and what would stand there instead or goes wrong."""

import shutil
from collections.abc import Callable
from typing import NamedTuple

from index_samples import make as make_index
from latent_samples import labelled_set
from report_samples import sample_report
from test_exchange import exported, imported
from travel.exports import train_on_made_up_latents

from fusemix.cli.called import run_command


class Case(NamedTuple):
    """One command.

    Attributes:
        make: writes into a folder, with more arguments.
        discarded: in that folder, what overwriting discards.
        change: arguments under which something else would stand there.
        wrong: arguments with which the command fails.
    """

    make: Callable[..., object]
    discarded: str
    change: list[str]
    wrong: list[str]


def caching(tiny, make_set, tmp_path) -> Case:
    pictures = tiny.files["image"][0].parent

    def make(out, *changes):
        where = f"folder: '{pictures}', captions: '{pictures / 'captions.csv'}'"
        dataset = f"dataset={{name: image_captions, options: {{{where}}}}}"
        hog = "encoders.hog={name: hog, options: {size: 32, coarse: 4}}"
        how = ["splits=[all]", "compute.accelerator=cpu", "num_workers=0", "batch_size=8"]
        run_command("cache_features", [dataset, hog, *how, f"out={out}", *changes])

    return Case(make, "all/image/hog", ["encoders.hog.options.size=16"], ["encoders.hog.options.size=0"])


def caching_another_set(tiny, make_set, tmp_path) -> Case:
    some = tmp_path / "some"
    shutil.copytree(tiny.files["image"][0].parent, some)
    lines = (some / "captions.csv").read_text().splitlines()
    (some / "captions.csv").write_text("\n".join(lines[:9]))
    other = f"dataset.options={{folder: '{some}', captions: '{some / 'captions.csv'}'}}"
    missing = f"dataset.options={{folder: '{some}', captions: '{some / 'nothing.csv'}'}}"
    return Case(caching(tiny, make_set, tmp_path).make, "all", [other], [missing])


def importing(tiny, make_set, tmp_path) -> Case:
    layout = tmp_path / "layout"
    exported(make_set("imported", num_left=6), layout)
    return Case(
        lambda out, *changes: imported(layout, out, *changes),
        "train",
        ["dataset=another"],
        ["dataset=another", f"clip_retrieval={tmp_path / 'nowhere'}"],
    )


def selecting(tiny, make_set, tmp_path) -> Case:
    latents = make_set("train", num_left=20)
    return Case(
        lambda out, *changes: run_command("select", [str(latents), "size=8", f"out={out}", *changes]),
        "",
        ["size=9"],
        ["size=9000"],
    )


def training(tiny, make_set, tmp_path) -> Case:
    return Case(
        lambda out, *changes: train_on_made_up_latents(make_set, out, *changes),
        "",
        ["embedding_dim=4"],
        [f"train={tmp_path / 'nowhere'}"],
    )


def indexing(tiny, make_set, tmp_path) -> Case:
    some = tmp_path / "some"
    some.mkdir()
    for path in tiny.files["image"][:5]:
        shutil.copy(path, some)
    return Case(
        lambda out, *changes: make_index(tiny, out, some, *changes),
        "",
        ["--model", str(tiny.run), "--checkpoint", "last"],
        ["--data", str(tmp_path / "nowhere")],
    )


def handing_over(tiny, make_set, tmp_path) -> Case:
    one, other = (make_index(tiny, tmp_path / kind, tiny.files[kind][0].parent) for kind in ("image", "audio"))
    common = ["--index", str(one), "--to", "parquet"]
    return Case(
        lambda out, *changes: run_command("export_index", [*common, "--out", str(out), *changes]),
        "",
        ["--index", str(other)],
        ["--index", str(tmp_path / "nowhere")],
    )


def exporting(tiny, make_set, tmp_path) -> Case:
    return Case(
        lambda out, *changes: run_command("export", [f"model={tiny.run}", f"out={out}", *changes]),
        "",
        ["checkpoint=last"],
        [f"reports=[{tmp_path / 'nowhere'}]"],
    )


def exporting_embeddings(tiny, make_set, tmp_path) -> Case:
    latents = make_set("train", num_left=6)
    return Case(
        lambda out, *changes: exported(latents, out, *changes),
        "",
        ["rows_per_file=3"],
        ["rows_per_file=3", "encoders.image=[nobody]"],
    )


def evaluating(tiny, make_set, tmp_path) -> Case:
    run = train_on_made_up_latents(make_set, tmp_path / "run")
    test = make_set("test", num_left=20, seed=1)
    common = [f"model={run}", f"latents={test}", "compute.accelerator=cpu", "num_examples=0"]
    return Case(
        lambda out, *changes: run_command("eval_retrieval", [*common, f"out={out}", *changes]),
        "",
        ["checkpoint=last"],
        [f"latents={tmp_path / 'nowhere'}"],
    )


def classifying(tiny, make_set, tmp_path) -> Case:
    common = [
        "encoders={image: [clip], text: [words]}",
        f"latents={labelled_set(tmp_path / 'labelled')}",
        "compute.accelerator=cpu",
    ]
    return Case(
        lambda out, *changes: run_command("eval_zero_shot", [*common, f"out={out}", *changes]),
        "",
        ["encoders={image: [other], text: [words]}"],
        [f"latents={tmp_path / 'nowhere'}"],
    )


def judging(tiny, make_set, tmp_path) -> Case:
    for name, files in {"made": tiny.files["image"][:12], "photos": tiny.files["image"][12:]}.items():
        (tmp_path / name).mkdir()
        for file in files:
            shutil.copy(file, tmp_path / name)
    hog = "encoder={name: hog, options: {size: 32, coarse: 4}}"
    common = [f"generated={tmp_path / 'made'}", f"reference={tmp_path / 'photos'}", hog, "compute=cpu", "num_workers=0"]
    return Case(
        lambda out, *changes: run_command("eval_generation", [*common, f"out={out}", *changes]),
        "",
        ["k=3"],
        [f"reference={tmp_path / 'nowhere'}"],
    )


def comparing(tiny, make_set, tmp_path) -> Case:
    a, b, c = (sample_report(tmp_path / name, seed=seed) for seed, name in enumerate("abc"))
    return Case(
        lambda out, *changes: run_command("compare", [str(a), str(b), f"out={out}", *changes]),
        "",
        [str(c)],
        [str(tmp_path / "nowhere")],
    )


def ranking(tiny, make_set, tmp_path) -> Case:
    latents = make_set("ranked", num_left=60, captions=1)
    return Case(
        lambda out, *changes: run_command("rank_encoders", [str(latents), f"out={out}", *changes]),
        "",
        ["k=3"],
        ["encoders.text=[nobody]"],
    )


def studying(tiny, make_set, tmp_path) -> Case:
    latents = make_set("train", num_left=20)
    some = f"select={{latents: '{latents}', size: 4, method: uniform}}"
    return Case(
        lambda out, *changes: run_command("study", [some, f"out={out}", *changes]),
        "",
        ["select.size=5"],
        ["select.sise=5"],
    )


def drawing_pictures(tiny, make_set, tmp_path) -> Case:
    from drawing_world import made_in, make_world

    make_world(tmp_path / "world", tiny)
    common = ["a red bar", f"model={tmp_path / 'world' / 'run'}", f"pipeline={made_in(tmp_path / 'world').kandinsky}"]
    small = ["num=1", "steps=1", "height=32", "width=32", "compute=cpu"]
    return Case(
        lambda out, *changes: run_command("generate", [*common, *small, f"out={out}", *changes]),
        "",
        ["seed=5"],
        [f"pipeline={tmp_path / 'nowhere'}"],
    )


CASES = {
    "cache_features": [caching, caching_another_set],
    "import": [importing],
    "select": [selecting],
    "train": [training],
    "index": [indexing],
    "export_index": [handing_over],
    "export": [exporting],
    "export_embeddings": [exporting_embeddings],
    "eval_retrieval": [evaluating],
    "eval_zero_shot": [classifying],
    "eval_generation": [judging],
    "compare": [comparing],
    "rank_encoders": [ranking],
    "study": [studying],
    "generate": [drawing_pictures],
}
