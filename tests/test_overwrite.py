"""Every command that has `overwrite`: nothing goes that is not ours, and not before all else was looked at."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from index_samples import make as make_index
from latent_samples import labelled_set
from report_samples import sample_report
from test_exchange import exported, imported
from travel.exports import train_on_made_up_latents

from fusemix import config
from fusemix.cli.called import run_command
from fusemix.cli.table import COMMANDS
from fusemix.errors import FusemixError
from fusemix.latents.verify import stores_of
from fusemix.latents.writer import StoreWriter


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


@pytest.fixture(params=[make for of_command in CASES.values() for make in of_command], ids=lambda make: make.__name__)
def case(request, tiny, make_set, tmp_path) -> Case:
    return request.param(tiny, make_set, tmp_path)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def overwriting(case: Case, out: Path, *changes: str) -> None:
    dashed = any(change.startswith("--") for change in case.change)
    case.make(out, *changes, *(["--overwrite", "true"] if dashed else ["overwrite=true"]))


def test_every_command_with_overwrite_is_here():
    schemas = {name: getattr(config, command.schema) for name, command in COMMANDS.items() if command.schema}
    with_overwrite = {
        name for name, schema in schemas.items() if "overwrite" in {field.name for field in dataclasses.fields(schema)}
    }
    assert with_overwrite - {"check"} == CASES.keys(), "check takes the settings of another command, and writes nothing"


def refused(case: Case, out: Path, changes: list[str], match: str | None = None, where: Path | None = None) -> None:
    """Overwriting ends in one message, and everything is as it was."""
    before = content(where or out)
    with pytest.raises(FusemixError, match=match):
        overwriting(case, out, *changes)
    assert content(where or out) == before


def test_what_was_there_makes_room_whole(case, tmp_path):
    out = tmp_path / "out"
    case.make(out)
    before = content(out)
    with pytest.raises(FusemixError):
        case.make(out, *case.change)
    assert content(out) == before, "without overwrite"
    overwriting(case, out, *case.change)
    assert content(out) != before
    assert [path.name for path in out.rglob(".*") if path.is_dir()] == [], "nothing is left aside"
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_what_goes_wrong_later_leaves_all_as_it_was(case, tmp_path):
    case.make(tmp_path / "out")
    refused(case, tmp_path / "out", case.wrong)


def test_a_file_of_the_users_beside_ours_is_a_reason_to_refuse(case, tmp_path):
    out = tmp_path / "out"
    case.make(out)
    (out / case.discarded / "notes").mkdir()
    (out / case.discarded / "notes" / "diary.txt").write_text("mine")
    refused(case, out, case.change, r"diary\.txt")


def test_files_that_only_bear_our_names_stay(case, tmp_path):
    case.make(tmp_path / "ours")
    out = tmp_path / "out"
    for name in content(tmp_path / "ours"):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text('{"mine": true}')
    refused(case, out, case.change)


def test_nothing_goes_through_a_link(case, tmp_path):
    out = tmp_path / "out"
    case.make(out)
    place = out / case.discarded
    place.rename(tmp_path / "real")
    place.symlink_to(tmp_path / "real")
    refused(case, out, case.change, "symbolic link", tmp_path / "real")


@pytest.mark.parametrize("make_case", [caching, caching_another_set])
def test_latents_that_are_to_be_replaced_stay_until_the_new_ones_are_whole(
    make_case, tiny, make_set, tmp_path, monkeypatch
):
    case, out = make_case(tiny, make_set, tmp_path), tmp_path / "out"
    case.make(out)
    before = content(out / "all" / "image" / "hog")
    with monkeypatch.context() as patch:
        patch.setattr(StoreWriter, "seal", lambda writer: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            overwriting(case, out, *case.change)
    assert content(out / "all" / "image" / "hog") == before
    assert len(stores_of(out / "all")) == 1, "what is half done is nobody's store"
    overwriting(case, out, *case.change)
    case.make(tmp_path / "fresh", *case.change)
    assert content(out).keys() == content(tmp_path / "fresh").keys()
    assert content(out / "all" / "image" / "hog") == content(tmp_path / "fresh" / "all" / "image" / "hog")
