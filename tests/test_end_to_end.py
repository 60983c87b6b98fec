"""The three commands on pictures of coloured shapes that the test draws, with an encoder of one's own."""

import io
import json
import shutil
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from shape_samples import COLOURS, OWN_ENCODERS, SHAPES, draw
from transformers import BertConfig, BertModel, BertTokenizer

from fusemix.cli.called import run_command
from fusemix.errors import ConfigError, LatentStoreError, RunError
from fusemix.latents.item_tables import read_table


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Pictures, captions, a text model and a module with an encoder, all in one folder."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "pictures").mkdir()
    generator = np.random.default_rng(0)
    lines = ["file,caption,split"]
    for number in range(360):
        colour, shape = COLOURS[number % 6], SHAPES[(number // 6) % 4]
        draw(folder / "pictures" / f"{number}.png", colour, shape, generator)
        split = "test" if number < 72 else "validation" if number < 120 else "train"
        lines.append(f"{number}.png,{['a', 'one', 'some'][number % 3]} {colour} {shape},{split}")
    lines += ["gone.png,a red square,train", "0.png,,test"]
    (folder / "pictures" / "broken.png").write_bytes(b"no picture")
    lines.append("broken.png,a green bar,train")
    (folder / "captions.csv").write_text("\n".join(lines))
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "one", "some", *COLOURS, *SHAPES]
    (folder / "vocab.txt").write_text("\n".join(words))
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(words), **sizes)).save_pretrained(folder / "bert")
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder / "bert")
    (folder / "own_encoders.py").write_text(OWN_ENCODERS)
    return folder


@pytest.fixture(autouse=True)
def _own_encoders_can_be_imported(world, monkeypatch):
    monkeypatch.syspath_prepend(world)


def cache(world: Path, out: Path, *changes: str) -> list[str]:
    return [
        "dataset.name=image_captions",
        f"dataset.options.folder={world / 'pictures'}",
        f"dataset.options.captions={world / 'captions.csv'}",
        "splits=[train,validation,test]",
        "encoders.hog={name: hog, options: {size: 48, cell: 12, coarse: 0}}",
        "encoders.colour.name=own_encoders:colour",
        f"encoders.bert={{name: transformers_text, options: {{model: '{world / 'bert'}'}}}}",
        "shard_size=100",
        "num_workers=0",
        f"out={out}",
        *changes,
    ]


def training(latents: Path, out: Path, *changes: str) -> list[str]:
    return [
        f"train={latents / 'train'}",
        f"validation={latents / 'validation'}",
        "encoders={image: [hog, colour], text: [bert]}",
        "embedding_dim=16",
        "adapter.options={num_blocks: 1, dropout: 0.1}",
        # No batch without repeats is larger than the number of captions.
        "optim={batch_size: 24, max_epochs: 30, validate_every: 10, warmup_steps: 10, lr: 0.003}",
        "compute.accelerator=cpu",
        f"out={out}",
        *changes,
    ]


def evaluation(latents: Path, run: Path, out: Path, *changes: str) -> list[str]:
    return [f"model={run}", f"latents={latents / 'test'}", f"out={out}", "compute.accelerator=cpu", *changes]


@pytest.fixture(scope="module")
def latents(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("latents")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(world)
        run_command("cache_features", cache(world, folder))
    return folder


@pytest.fixture(scope="module")
def run(latents, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "shapes"
    run_command("train", training(latents, folder, "mixup.name=none"))
    return folder


@pytest.fixture(scope="module")
def reported(latents, run, tmp_path_factory) -> tuple[Path, str]:
    """A report with all that stands in one by default, and what was printed."""
    with redirect_stdout(io.StringIO()) as printed:
        report_file = run_command(
            "eval_retrieval", evaluation(latents, run, tmp_path_factory.mktemp("reports") / "report")
        )
    return report_file, printed.getvalue()


def test_the_road_from_files_to_a_report_ends_far_above_chance(reported):
    report_file, printed = reported
    report = json.loads(report_file.read_text())
    for direction in ("text_to_image", "image_to_text"):
        found = report["metrics"][f"{direction}/recall_at_1"]
        assert found > 0.5 > 3 * report["chance"][f"{direction}/recall_at_1"]
    assert report["counts"]["image_to_text"]["queries"] == 72
    assert report["data"]["encoders"] == {"image": ["hog", "colour"], "text": ["bert"]}
    assert "text to image" in printed
    assert str(report_file.with_name("report.html")) in printed


def test_every_query_is_listed_with_what_it_found(reported):
    folder = reported[0].parent
    report = json.loads((folder / "report.json").read_text())
    lines = [json.loads(line) for line in (folder / "queries.jsonl").read_text().splitlines()]
    for direction in ("text_to_image", "image_to_text"):
        mine = [line for line in lines if line["direction"] == direction]
        assert len(mine) == report["counts"][direction]["queries"]
        hits = np.mean([line["rank"] <= 5 for line in mine])
        assert hits == pytest.approx(report["metrics"][f"{direction}/recall_at_5"])
        assert all(line["scores"] == sorted(line["scores"], reverse=True) for line in mine)
    assert Image.open(folder / "examples.png").width > 500
    assert "sample queries" in (folder / "report.md").read_text()
    page = (folder / "report.html").read_text()
    assert page.count("data:image/jpeg") >= 6, "pictures are in the page"
    assert "purple triangle" in page


def test_encoders_of_ones_own_that_share_a_space_stand_beside_the_model(world, latents, run, tmp_path):
    """Both see colour and shape, so that a picture and its caption have the same latent, and no others have."""
    pair = ["encoders.seen.name=own_encoders:seen", "encoders.said.name=own_encoders:said"]
    run_command("cache_features", cache(world, latents, "splits=[test]", *pair))
    beside = "baselines={by eye: {encoders: {image: [seen], text: [said]}}}"
    report = json.loads(
        run_command(
            "eval_retrieval", evaluation(latents, run, tmp_path / "report", beside, "num_examples=0")
        ).read_text()
    )
    baseline = report["others"][0]
    assert (baseline["name"], baseline["kind"]) == ("by eye", "baseline")
    assert baseline["metrics"]["text_to_image/recall_at_1"] == baseline["metrics"]["image_to_text/recall_at_1"] == 1.0
    assert baseline["metrics"]["text_to_image/map_at_10"] == 1.0
    assert report["metrics"]["recall_sum"] < baseline["metrics"]["recall_sum"], "the model's are not touched"


def test_what_could_not_be_used_is_listed_with_its_reason(latents):
    listed = [json.loads(line) for line in (latents / "train" / "quarantine.jsonl").read_text().splitlines()]
    assert [(row["id"], row["stage"]) for row in listed] == [("gone.png", "dataset")]
    listed = [json.loads(line) for line in (latents / "train/image/hog/quarantine.jsonl").read_text().splitlines()]
    assert [(row["id"], row["stage"]) for row in listed] == [("broken.png", "decode")]
    assert "cannot identify image file" in listed[0]["reason"]
    listed = [json.loads(line) for line in (latents / "test" / "quarantine.jsonl").read_text().splitlines()]
    assert [(row["id"], row["reason"]) for row in listed] == [("0.png#1", "empty caption")]


def test_caching_again_encodes_nothing_and_adding_an_encoder_leaves_the_others(world, latents):
    before = {path: path.stat().st_mtime_ns for path in latents.rglob("*") if path.is_file()}
    fine = ["splits=[validation]", "encoders.fine={name: hog, options: {size: 48}}"]
    run_command("cache_features", cache(world, latents, *fine))
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert (latents / "validation/image/fine/manifest.json").is_file()


def test_an_interrupted_caching_goes_on_and_leaves_the_same_bytes(world, latents, tmp_path, monkeypatch):
    import own_encoders

    calls = []
    encode = own_encoders.Colour.encode

    def interrupted(self, batch):
        if len(batch) > 2:  # fewer are the trial items
            calls.append(len(batch))
            if len(calls) == 5:
                raise KeyboardInterrupt
        return encode(self, batch)

    monkeypatch.setattr(own_encoders.Colour, "encode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_command("cache_features", cache(world, tmp_path / "again"))
    assert not (tmp_path / "again/train/image/colour/manifest.json").exists()
    assert (tmp_path / "again/train/image/colour/latents-00001.npy").exists()
    run_command("cache_features", cache(world, tmp_path / "again"))
    for path in (tmp_path / "again").rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (latents / path.relative_to(tmp_path / "again")).read_bytes(), path


def test_workers_change_nothing(world, latents, tmp_path):
    run_command("cache_features", cache(world, tmp_path / "again", "num_workers=2", "splits=[validation]"))
    for path in (tmp_path / "again").rglob("*.npy"):
        assert path.read_bytes() == (latents / path.relative_to(tmp_path / "again")).read_bytes()


def test_another_encoder_under_an_old_name_is_refused_until_it_may_overwrite(world, latents, tmp_path):
    one = ["splits=[validation]", "encoders.hog.options.size=24"]
    run_command("cache_features", cache(world, tmp_path / "again", "splits=[validation]"))
    with pytest.raises(LatentStoreError, match=r"(?s)made by something else:.*encoder.size: on disk 48, now 24"):
        run_command("cache_features", cache(world, tmp_path / "again", *one))
    run_command("cache_features", cache(world, tmp_path / "again", *one, "overwrite=true"))


def test_an_encoder_that_is_none_or_for_nothing_here_is_refused(world, tmp_path):
    with pytest.raises(ConfigError, match=r"encoders.bad: own_encoders:nothing gave an object without modality, dim"):
        run_command("cache_features", cache(world, tmp_path, "encoders.bad.name=own_encoders:nothing"))
    files = f"folder: '{world / 'pictures'}', captions: '{world / 'captions.csv'}'"
    deaf = f"dataset={{name: audio_captions, options: {{{files}}}}}"
    with pytest.raises(
        ConfigError, match=r"encoders.hog \(hog\) is for image, but audio_captions pairs audio with text"
    ):
        run_command("cache_features", cache(world, tmp_path, deaf))


def test_a_set_cached_by_other_encoders_does_not_fit_the_model(world, latents, run, tmp_path):
    run_command("cache_features", cache(world, tmp_path / "other", "splits=[test]", "encoders.hog.options.size=60"))
    with pytest.raises(
        RunError, match=r"(?s)its image latents were not made like.*encoder 1.dim: on disk 225, now 144"
    ):
        run_command("eval_retrieval", evaluation(tmp_path / "other", run, tmp_path / "report"))


def test_a_set_of_a_modality_that_the_model_lacks_is_refused(world, latents, run, tmp_path):
    silent = tmp_path / "silent"
    shutil.copytree(latents / "test", silent)
    (silent / "set.json").write_text(
        (silent / "set.json").read_text().replace('"modality": "image"', '"modality": "audio"')
    )
    with pytest.raises(ConfigError, match=r"pairs audio with text, but encoders names only: image, text"):
        run_command(
            "eval_retrieval",
            [f"model={run}", f"latents={silent}", f"out={tmp_path / 'report'}", "compute.accelerator=cpu"],
        )


def test_looking_deeper_than_the_gallery_is_refused(latents, run, tmp_path):
    with pytest.raises(ConfigError, match=r"ks asks for the first 1000, but the smaller side of .* has \d+ items"):
        run_command("eval_retrieval", evaluation(latents, run, tmp_path / "report", "ks=[1,1000]"))


def test_a_device_that_is_not_there_is_named(latents, run, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(
        ConfigError, match="compute.accelerator=cuda, compute.devices=1, compute.num_nodes=1 cannot be used here"
    ):
        run_command("eval_retrieval", evaluation(latents, run, tmp_path / "report", "compute.accelerator=cuda"))


def test_pictures_that_are_gone_do_not_cost_the_report(world, latents, run, tmp_path, capsys):
    (world / "captions.csv").rename(world / "elsewhere.csv")
    try:
        few = evaluation(latents, run, tmp_path / "report", "num_examples=2")
        assert run_command("eval_retrieval", few).is_file()
        page = (tmp_path / "report" / "report.html").read_text()
        assert "data:image/jpeg" not in page
        assert "0.png" in page, "items are shown by their ids"
        captions = read_table(latents / "test" / "items-text.parquet")["caption"].to_pylist()
        assert any(caption in page for caption in captions), "captions are in the latent set itself"
        assert "items can only be shown by their ids: what they were cached from" in capsys.readouterr().out
    finally:
        (world / "elsewhere.csv").rename(world / "captions.csv")


def test_a_run_without_checkpoint_is_named(latents, tmp_path):
    with pytest.raises(RunError, match=r"there is no checkpoint .*best.ckpt. Train first"):
        run_command("eval_retrieval", evaluation(latents, tmp_path / "nowhere", tmp_path / "report"))
