"""Pictures drawn from embeddings: which ones a pipeline gets, what a picture depends on, and what it says of itself."""

import io
import json
import os

import numpy as np
import pytest
import torch
from commands import apart, generate, pictures
from PIL import Image
from seen import ADAPTER, calls, embeddings

import fusemix
from fusemix.cli.called import run_command
from fusemix.errors import ConfigError, MachineError, OutputError
from fusemix.fusion.checkpoints import about, read_checkpoint
from fusemix.wiring.generating.pictures import as_png, pictures_of
from fusemix.wiring.generating.sources import GREY

KINDS = ["kandinsky", "stable", "xl"]


@pytest.fixture(scope="module")
def model(drawing):
    return fusemix.load(drawing.run, device="cpu")


@pytest.fixture(scope="module")
def length(drawing):
    """Of the latents that the run was trained on."""
    return about(read_checkpoint(drawing.run / "checkpoints" / "best.ckpt"))["ended"]["lengths"]["image"]["mean"]


def unit(vector):
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize("pipeline", KINDS)
def test_a_picture_depends_on_its_seed_and_its_query_alone(drawing, tiny, tmp_path, pipeline):
    sound, other = (f"audio={tiny.files['audio'][number]}" for number in (0, 5))
    one = pictures(generate(drawing, tmp_path / "one", sound, pipeline=pipeline, num=3, batch_size=1))
    assert [*one] == ["0000_seed0.png", "0001_seed1.png", "0002_seed2.png"]
    assert apart(one["0000_seed0.png"], one["0001_seed1.png"]) > 20
    together = pictures(generate(drawing, tmp_path / "together", sound, pipeline=pipeline, num=2, seed=1))
    for later, first in (("0000_seed1.png", "0001_seed1.png"), ("0001_seed2.png", "0002_seed2.png")):
        assert apart(together[later], one[first]) <= 1
    another = pictures(generate(drawing, tmp_path / "other", other, pipeline=pipeline, num=1))
    assert apart(another["0000_seed0.png"], one["0000_seed0.png"]) > 1


def test_kandinsky_gets_the_query_at_the_length_of_latents_and_leads_away_from_grey(
    drawing, tiny, model, length, tmp_path
):
    sound = tiny.files["audio"][3]
    with embeddings() as seen:
        generate(drawing, tmp_path / "out", f"audio={sound}")
    assert [tuple(rows.shape) for rows in seen] == [(4, 32)] * 2, "two pictures, twice, in each of two steps"
    away, latent = seen[0].numpy()[[0, 2]]
    assert np.linalg.norm(latent) == pytest.approx(length, rel=1e-5)
    np.testing.assert_allclose(unit(latent), model.encode(audio=sound), atol=1e-5)
    grey = model.encode(images=Image.new("RGB", (64, 64), GREY))
    np.testing.assert_allclose(unit(away), grey, atol=1e-3)
    assert np.linalg.norm(away) != pytest.approx(1, abs=0.1), "as the encoder gives it"


@pytest.mark.parametrize("pipeline", ["stable", "xl"])
@pytest.mark.parametrize("guidance", [5.0, 1.0])
def test_an_ip_adapter_gets_the_query_and_zeros_where_there_is_guidance(
    drawing, model, length, tmp_path, pipeline, guidance
):
    with embeddings(ADAPTER) as seen:
        generate(drawing, tmp_path / "out", "text=a red square", pipeline=pipeline, guidance=guidance, prompt="rain")
    rows = seen[0].reshape(-1, 32).numpy()
    assert len(rows) == (4 if guidance > 1 else 2)
    if guidance > 1:
        assert not rows[:2].any()
    np.testing.assert_allclose(rows[-2:] / length, model.encode(texts=["a red square"] * 2), atol=1e-5)


@pytest.mark.parametrize("guidance", [4.0, 0.5])
def test_zeros_and_another_length_are_given_where_they_are_asked_for(drawing, tmp_path, guidance):
    with embeddings() as seen:
        generate(drawing, tmp_path / "out", "text=a red bar", unconditional="zeros", length=2.5, guidance=guidance)
    found = seen[0].norm(dim=1).tolist()
    assert found == pytest.approx([0.0, 0.0, 2.5, 2.5] if guidance > 1 else [2.5, 2.5])


def test_several_queries_are_one_sum_and_each_by_itself_where_that_is_wanted(drawing, tiny, model, length, tmp_path):
    picture, sound = tiny.files["image"][4], tiny.files["audio"][1]
    given = ['text=2*"a red square" - "one blue bar"', f"image={picture}", f"audio={sound}"]
    words = model.encode(texts=["a red square", "one blue bar"])
    files = [model.encode(images=picture), model.encode(audio=sound)]
    with embeddings() as seen:
        generate(drawing, tmp_path / "sum", *given, num=1)
    np.testing.assert_allclose(seen[0][1] / length, unit(2 * words[0] - words[1] + sum(files)), atol=1e-5)
    with embeddings() as seen:
        out = generate(drawing, tmp_path / "each", *given, num=1, each="true", steps=1)
    wanted = [unit(2 * words[0] - words[1]), *files]
    np.testing.assert_allclose(np.stack([rows[1] for rows in seen]) / length, wanted, atol=1e-5)
    listed = json.loads((out / "generated.json").read_text())["pictures"]
    assert [(one["file"], one["query"]) for one in listed] == [
        ("0000_seed0.png", "2*text: a red square - text: one blue bar"),
        ("0001_seed0.png", f"image: {picture.name}"),
        ("0002_seed0.png", f"audio: {sound.name}"),
    ]


def test_a_picture_says_how_it_came_about_and_where_nothing_lies(drawing, tiny, tmp_path):
    out = generate(drawing, tmp_path / "out", f"audio={tiny.files['audio'][0]}", guidance=3, seed=7)
    with Image.open(out / "0001_seed8.png") as picture:
        texts, size = dict(picture.text), picture.size
    found = json.loads(texts["fusemix"])
    assert size == (32, 32)
    assert texts["Description"] == found["query"] == "audio: 00.wav"
    assert (found["seed"], found["steps"], found["guidance"], found["precision"]) == (8, 2, 3.0, "float32")
    assert found["licences"] == {"model": "unknown", "pipeline": "apache-2.0"}
    assert (found["pipeline"]["name"], found["pipeline"]["class"]) == ("kandinsky", "KandinskyV22Pipeline")
    assert (found["model"]["name"], len(found["model"]["sha256"])) == ("run", 64)
    assert found["model"]["encoders"] == {"audio": ["wavlm"], "image": ["vit"]}
    assert found["space"]["modality"] == "image"
    assert str(tmp_path) not in texts["fusemix"] + (out / "generated.json").read_text()
    assert str(drawing.run.parent) not in texts["fusemix"] + (out / "generated.json").read_text()
    with Image.open(out / "sheet.png") as sheet:
        assert sheet.size[0] > sheet.size[1] / 2


def test_any_script_and_any_sign_may_stand_in_a_picture():
    with Image.open(io.BytesIO(as_png(Image.new("RGB", (4, 4)), {"query": "犬 \n ü"}))) as found:
        assert json.loads(found.text["fusemix"]) == {"query": "犬 \n ü"}


def test_what_is_killed_goes_on_with_what_is_missing(drawing, tiny, tmp_path):
    """A process that dies while it draws the third of four pictures."""
    given, how = f"audio={tiny.files['audio'][0]}", {"num": 4, "batch_size": 1, "steps": 2}
    drawn = []

    def die(rows):
        drawn.append(rows)
        if len(drawn) == 5:
            os._exit(9)

    child = os.fork()
    if child == 0:
        with calls(die):
            generate(drawing, tmp_path / "out", given, **how)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    left = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*_seed*.png")}
    assert [*sorted(left)] == ["0000_seed0.png", "0001_seed1.png"]
    with embeddings() as seen:
        out = generate(drawing, tmp_path / "out", given, **how)
    assert len(seen) == 4, "two steps for each of two pictures"
    assert {name: (out / name).stat().st_mtime_ns for name in left} == left
    whole = pictures(generate(drawing, tmp_path / "whole", given, **how))
    assert {name: found.tolist() for name, found in pictures(out).items()} == {
        name: found.tolist() for name, found in whole.items()
    }
    with embeddings() as seen:
        generate(drawing, tmp_path / "out", given, **how)
    assert seen == [], "nothing is left to do"


def test_other_settings_do_not_mix_with_what_is_there(drawing, tmp_path):
    out = generate(drawing, tmp_path / "out", "text=a red bar")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(OutputError, match=r"were drawn otherwise:\n  guidance: on disk 4.0, now 2.0"):
        generate(drawing, out, "text=a red bar", guidance=2)
    with pytest.raises(OutputError, match=r"queries\[0\]|queries"):
        generate(drawing, out, "text=a red circle")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    generate(drawing, out, "text=a red bar", guidance=2, num=1, overwrite="true")
    assert [*pictures(out)] == ["0000_seed0.png"]
    assert not list(tmp_path.glob(".*"))


def test_overwriting_that_is_killed_leaves_what_was_there_and_goes_on_beside_it(drawing, tmp_path):
    out = generate(drawing, tmp_path / "out", "text=a red bar", num=1)
    before, drawn = {path.name: path.read_bytes() for path in out.iterdir()}, []
    how = {"num": 2, "steps": 1, "batch_size": 1, "overwrite": "true"}

    def full(rows):
        drawn.append(rows)
        if len(drawn) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with calls(full), pytest.raises(MachineError, match="already stay"):
        generate(drawing, out, "text=a red bar", **how)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert [*pictures(tmp_path / ".out.new")] == ["0000_seed0.png"]
    with embeddings() as seen:
        generate(drawing, out, "text=a red bar", **how)
    assert len(seen) == 1, "the one that is missing"
    assert len(pictures(out)) == 2
    assert not list(tmp_path.glob(".*"))


def test_where_memory_does_not_suffice_fewer_are_drawn_at_once(drawing, tmp_path):
    sizes = []

    def narrow(rows):
        sizes.append(len(rows) // 2)
        if len(rows) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with calls(narrow):
        found = pictures(generate(drawing, tmp_path / "narrow", "text=a red bar", num=5, steps=1))
    assert sizes == [5, 2, 2, 1]
    whole = pictures(generate(drawing, tmp_path / "whole", "text=a red bar", num=5, steps=1))
    assert max(apart(found[name], whole[name]) for name in whole) <= 1


def test_where_there_is_no_memory_for_one_picture_those_that_are_drawn_stay(drawing, tmp_path):
    seen = []

    def full(rows):
        seen.append(rows)
        if len(seen) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")

    how = {"num": 3, "steps": 1, "batch_size": 1}
    with calls(full), pytest.raises(MachineError, match=r"cpu has no memory to draw one .*already stay"):
        generate(drawing, tmp_path / "out", "text=a red bar", **how)
    assert [*pictures(tmp_path / "out")] == ["0000_seed0.png"]
    assert len(pictures(generate(drawing, tmp_path / "out", "text=a red bar", **how))) == 3


def test_numbers_that_are_none_are_no_pictures(drawing, tmp_path):
    with (
        calls(lambda rows: rows.fill_(torch.nan)),
        pytest.raises(ConfigError, match=r"kandinsky gives NaN in float32, .* would be black. Give precision=float32"),
    ):
        generate(drawing, tmp_path / "out", "text=a red bar")
    assert pictures(tmp_path / "out") == {}


def test_numbers_of_pictures_go_on_over_queries_and_seeds_begin_again():
    assert [tuple(one) for one in pictures_of(2, 2, 5)] == [
        ("0000_seed5.png", 0, 5),
        ("0001_seed6.png", 0, 6),
        ("0002_seed5.png", 1, 5),
        ("0003_seed6.png", 1, 6),
    ]


def test_an_exported_model_draws_what_its_run_draws(drawing, tmp_path):
    export = run_command("export", [f"model={drawing.run}", f"out={tmp_path / 'export'}"])
    ways = [
        generate(drawing, tmp_path / f"{name}s", "text=a red bar", model=place)
        for name, place in (("run", drawing.run), ("export", export))
    ]
    one, other = map(pictures, ways)
    assert all(apart(one[name], other[name]) == 0 for name in one)


def test_from_python_come_the_files(drawing, tmp_path):
    settings = {"model": drawing.run, "pipeline": drawing.kandinsky, "compute": "cpu", "num": 1, "steps": 1}
    found = fusemix.generate(settings, text="a red bar", height=32, width=32, out=tmp_path / "out")
    assert found == [tmp_path / "out" / "0000_seed0.png"]
    assert found[0].is_file()
