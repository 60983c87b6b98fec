"""`fusemix eval_generation`: what it measures, what it reads, what it sets aside, and what it refuses."""

import json
import shutil
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from fusemix.cli.called import run_command
from fusemix.encoders.hog import hog
from fusemix.errors import ConfigError, OutputError, RunError
from fusemix.fidelity.frechet import frechet
from fusemix.models.embedder import Embedder
from fusemix.wiring.evaluation.pairs import kind_of, name_of, pairs_of

HOG = "encoder={name: hog, options: {size: 32, coarse: 4}}"
HERE = ["compute=cpu", "num_workers=0"]


@pytest.fixture
def folders(tiny, tmp_path) -> Path:
    """A folder with `made` and `real`, 12 and 24 pictures."""
    for name, files in {"made": tiny.files["image"][:12], "real": tiny.files["image"][12:]}.items():
        (tmp_path / name).mkdir()
        for file in files:
            shutil.copy(file, tmp_path / name)
    return tmp_path


def judged(folder: Path, *changes: str) -> dict:
    given = [f"generated={folder / 'made'}", f"reference={folder / 'real'}", f"out={folder / 'report'}"]
    encoder = [] if any(one.startswith("encoder=") for one in changes) else [HOG]
    return json.loads(run_command("eval_generation", [*given, *encoder, *HERE, *changes]).read_text())


def table(path: Path, *rows: tuple[str, str, str], head: str = "file,modality,query") -> Path:
    path.write_text("\n".join([head, *(",".join(row) for row in rows)]))
    return path


def pictures_in(folder: Path) -> list[Image.Image]:
    return [Image.open(path).convert("RGB") for path in sorted(folder.glob("*.png"))]


def test_figures_are_those_of_the_encoders_latents(folders):
    report = judged(folders)
    encoder = hog(size=32, coarse=4)
    sides = [
        encoder.encode(encoder.collate(encoder.prepare(pictures_in(folders / name)))).double()
        for name in ("made", "real")
    ]
    found = frechet(*sides)
    assert report["metrics"]["frechet_distance"] == pytest.approx(found.distance, rel=1e-5)
    assert report["intervals"]["frechet_distance"] == pytest.approx(found.interval, rel=1e-4)
    assert set(report["metrics"]) == {
        *("frechet_distance", "kernel_distance", "precision", "recall", "density", "coverage", "near_copies")
    }
    assert report["counts"] == {"generated": 12, "reference": 24, "paired": 0, "unpaired": 0}
    assert report["model"] is None
    assert [note[:12] for note in report["notes"]] == ["12 pictures ", "12 pictures "], "few, and fewer than numbers"


def test_the_report_is_for_programs_and_for_people(folders, capsys):
    report = judged(folders)
    assert (report["format"], report["version"]) == ("fusemix.generation_report", 1)
    text = (folders / "report" / "generation.md").read_text()
    assert "![" in text
    assert "Fréchet distance" in text
    with Image.open(folders / "report" / "generation.png") as picture:
        assert picture.width > 1000
    shown = capsys.readouterr().out
    assert "12 generated and 24 real pictures, 0 set aside" in shown
    assert "12 pictures make the Fréchet distance too large" in " ".join(shown.split())


def test_blurred_and_noisy_pictures_are_farther_away(tiny, tmp_path):
    vit = f"encoder={{name: transformers_image, options: {{model: '{tiny.recipes['vit']['options']['model']}'}}}}"
    shutil.copytree(tiny.files["image"][0].parent, tmp_path / "real")
    noise = np.random.default_rng(0).normal(0, 60, (48, 96, 3))
    found = []
    for level in (0.0, 1.0, 3.0):
        (tmp_path / "made").mkdir(exist_ok=True)
        for path in tiny.files["image"]:
            with Image.open(path) as picture:
                pixels = np.asarray(picture.convert("RGB").filter(ImageFilter.GaussianBlur(level))).astype(float)
            seen = pixels + level * noise[: pixels.shape[0], : pixels.shape[1]]
            Image.fromarray(seen.clip(0, 255).astype("uint8")).save(tmp_path / "made" / path.name)
        found.append(judged(tmp_path, vit, "overwrite=true")["metrics"])
    for name in ("frechet_distance", "kernel_distance"):
        assert found[0][name] < found[1][name] < found[2][name]
    assert found[0]["precision"] == found[0]["coverage"] == found[0]["near_copies"] == 1
    for name in ("precision", "density", "coverage", "near_copies"):
        assert found[2][name] < 0.7 * found[0][name]


def test_agreement_is_of_embeddings_in_the_models_space(tiny, folders):
    files, captions = sorted(path.name for path in (folders / "made").iterdir()), ["a red square", "some blue bar"]
    sounds = tiny.files["audio"][:3]
    pairs = table(
        folders / "pairs.csv",
        *((file, "text", captions[place % 2]) for place, file in enumerate(files[:6])),
        *((file, "audio", str(sounds[place % 3])) for place, file in enumerate(files[6:11])),
    )
    report = judged(folders, f"model={tiny.run}", f"pairs={pairs}")
    embedder = Embedder(tiny.run, device="cpu")
    made = embedder.embed("image", pictures_in(folders / "made"))
    texts = embedder.embed("text", captions)
    cosines = [float(made[place] @ texts[place % 2]) for place in range(6)]
    assert report["metrics"]["text/cosine"] == pytest.approx(np.mean(cosines), abs=1e-5)
    heard = embedder.embed("audio", [path.read_bytes() for path in sounds])
    nearest = [int(np.argmax(heard @ made[6 + place]) == place % 3) for place in range(5)]
    assert report["metrics"]["audio/own_nearest"] == pytest.approx(np.mean(nearest))
    assert report["chance"]["audio/own_nearest"] == pytest.approx(1 / 3)
    assert report["queries"] == {"text": 2, "audio": 3}
    assert (report["counts"]["paired"], report["counts"]["unpaired"]) == (11, 1)
    low, high = report["intervals"]["text/cosine"]
    assert low <= report["metrics"]["text/cosine"] <= high


def drawn(tiny, folder: Path, queries: Path) -> None:
    """What `fusemix generate` leaves beside its pictures: two queries, one of them a sum, of six pictures each."""
    queries.mkdir()
    shutil.copy(tiny.files["audio"][0], queries / "rain.wav")
    digest = sha256((queries / "rain.wav").read_bytes()).hexdigest()
    sound = {"kind": "audio", "weight": 1.0, "content": "rain.wav", "sha256": digest}
    terms = [[sound], [{"kind": "text", "weight": 1.0, "content": "a red bar"}, {**sound, "weight": -0.5}]]
    files = sorted(path.name for path in folder.glob("*.png"))
    pictures = [{"file": file, "query": f"words {place // 6}", "seed": place % 6} for place, file in enumerate(files)]
    about = {"format": "fusemix.generated", "version": 1, "settings": {"queries": terms, "num": 6}}
    (folder / "generated.json").write_text(json.dumps({**about, "pictures": pictures}))
    shutil.copy(folder / files[0], folder / "sheet.png")


def test_what_generate_has_drawn_says_itself_what_from(tiny, folders):
    drawn(tiny, folders / "made", folders / "sounds")
    report = judged(folders, f"model={tiny.run}", f"queries={folders / 'sounds'}")
    assert report["counts"] == {"generated": 12, "reference": 24, "paired": 12, "unpaired": 0}, "the sheet is none"
    embedder = Embedder(tiny.run, device="cpu")
    made = embedder.embed("image", pictures_in(folders / "made")[:12])
    sound = embedder.embed("audio", [tiny.files["audio"][0].read_bytes()])[0]
    total = embedder.embed("text", ["a red bar"])[0] - 0.5 * sound
    assert report["metrics"]["audio/cosine"] == pytest.approx(np.mean(made[:6] @ sound), abs=1e-5)
    wanted = np.mean(made[6:] @ total / np.linalg.norm(total))
    assert report["metrics"]["text + audio/cosine"] == pytest.approx(wanted, abs=1e-5)


def test_a_sound_that_has_changed_or_gone_is_set_aside_with_its_pictures(tiny, folders):
    drawn(tiny, folders / "made", folders / "sounds")
    with pytest.raises(ConfigError, match=r"none of 2 queries can be compared.*Name the folder .*queries=FOLDER"):
        judged(folders, f"model={tiny.run}")
    shutil.copy(tiny.files["audio"][1], folders / "sounds" / "rain.wav")
    with pytest.raises(ConfigError, match=r"none of 2 queries .*rain\.wav: it has another content"):
        judged(folders, f"model={tiny.run}", f"queries={folders / 'sounds'}")
    files = sorted(path.name for path in (folders / "made").glob("[0-9]*.png"))
    pairs = table(folders / "pairs.csv", (files[0], "text", "a red bar"), (files[1], "audio", "gone.wav"))
    report = judged(folders, f"model={tiny.run}", f"pairs={pairs}")
    assert report["queries"] == {"text": 1}
    assert [(one["of"], Path(one["id"]).name, one["stage"]) for one in report["set_aside"]] == [
        ("pairs", "gone.wav", "read")
    ]
    assert "gone.wav" in (folders / "report" / "generation.md").read_text()


def test_files_that_are_no_pictures_are_set_aside_and_told(folders, capsys):
    (folders / "made" / "broken.png").write_bytes(b"no picture")
    shutil.copy(folders / "made" / "01.png", folders / "made" / "cut.png")
    (folders / "made" / "cut.png").write_bytes((folders / "made" / "cut.png").read_bytes()[:-40])
    report = judged(folders)
    assert report["counts"]["generated"] == 12
    assert {(one["of"], one["id"]) for one in report["set_aside"]} == {
        ("generated", "broken.png"),
        ("generated", "cut.png"),
    }
    assert "2 set aside" in capsys.readouterr().out


def test_copies_of_real_pictures_are_counted(folders):
    for place in range(3):
        shutil.copy(sorted((folders / "real").iterdir())[place], folders / "made" / f"copy{place}.png")
    found = judged(folders, "near_copy=0.99999")
    assert found["metrics"]["near_copies"] == pytest.approx(3 / 15)
    assert found["chance"]["near_copies"] < 3 / 15


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["k=12"], r"k=12 neighbours need 13 pictures on each side, and one has 12\. Set k to 11 or less\."),
        (["generated=EMPTY"], r"generated: there are no pictures in .*empty\."),
        (["reference=nowhere"], r"reference: there is no folder nowhere\."),
        (["generated=ONE", "k=1"], r"generated: 1 of the 2 pictures of .* figures need 2 .* b\.png: "),
        (["reference=LONE"], r"reference: 1 of the 1 pictures of .* can be used, and figures need 2 at least\.$"),
        (["encoder=BERT"], r"encoder: transformers_text encodes text, and pictures are judged by an encoder of pic"),
        (["encoder='builtins:dict'"], "does not say which options it takes"),
        (["pairs=p.csv"], "pairs and queries are for model=RUN"),
        (["model=RUN"], r"pairs: there is no .*generated\.json\. Name a CSV with the columns file, modality and"),
        (["model=RUN", "pairs=SMELL"], "knows nothing of 'smell'. It was trained on: "),
        (["model=RUN", "pairs=OTHER"], r"line 2, names '00\.jpg', which is not among .* Did you mean '00\.png'\?"),
        (["model=RUN", "pairs=TWICE"], r"line 3, gives '00\.png' another query than before"),
        (["model=RUN", "pairs=HEAD"], "has no column 'modality'. Its first line must be: file,modality,query"),
        (["model=RUN", "pairs=HOLE"], "line 2, has nothing under 'query'"),
        (["model=RUN", "pairs=NONE"], "names no picture"),
        (["model=RUN", "pairs=BYTES"], r"cannot be read: line 2 holds the byte 0xe9"),
        (["model=RUN", "pairs=LIST"], r"is no list of pictures that were drawn\. Name a CSV by pairs=FILE"),
        (["out=INSIDE"], r"out=.* lies in generated, whose pictures are judged\. Choose another out\."),
    ],
)
def test_a_mistake_is_one_message_and_nothing_is_written(changes, message, tiny, folders):
    (folders / "empty").mkdir()
    (folders / "one").mkdir()
    shutil.copy(tiny.files["image"][0], folders / "one" / "a.png")
    (folders / "one" / "b.png").write_bytes(b"none")
    (folders / "lone").mkdir()
    shutil.copy(tiny.files["image"][0], folders / "lone")
    (folders / "latin.csv").write_bytes("file,modality,query\n00.png,text,café".encode("latin1"))
    (folders / "list.json").write_text("[1]")
    bert = tiny.recipes["bert"]["options"]["model"]
    words = {
        "EMPTY": folders / "empty",
        "ONE": folders / "one",
        "LONE": folders / "lone",
        "BERT": f"{{name: transformers_text, options: {{model: '{bert}'}}}}",
        "RUN": tiny.run,
        "SMELL": table(folders / "a.csv", ("00.png", "smell", "rose")),
        "OTHER": table(folders / "b.csv", ("00.jpg", "text", "rose")),
        "TWICE": table(folders / "c.csv", ("00.png", "text", "rose"), ("00.png", "text", "tree")),
        "HEAD": table(folders / "d.csv", ("00.png", "rose"), head="file,query"),
        "HOLE": table(folders / "e.csv", ("00.png", "text", "")),
        "NONE": table(folders / "f.csv"),
        "BYTES": folders / "latin.csv",
        "LIST": folders / "list.json",
        "INSIDE": folders / "made" / "report",
    }
    given = [f"{name}={words.get(value, value)}" for name, _, value in (one.partition("=") for one in changes)]
    with pytest.raises((ConfigError, RunError), match=message):
        judged(folders, *given)
    assert not (folders / "report").exists()
    assert not (folders / "made" / "report").exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda about: about.pop("pictures"),
        lambda about: about["settings"].pop("queries"),
        lambda about: about["settings"].update(num=0),
        lambda about: about["settings"].update(queries=[[{"kind": "text"}]]),
        lambda about: about.update(pictures=[{"file": 3}]),
    ],
)
def test_a_generated_json_that_is_damaged_is_named(damage, tiny, folders):
    drawn(tiny, folders / "made", folders / "sounds")
    path = folders / "made" / "generated.json"
    about = json.loads(path.read_text())
    damage(about)
    path.write_text(json.dumps(about))
    with pytest.raises(ConfigError, match=r"pairs: .*generated\.json"):
        judged(folders, f"model={tiny.run}")


def test_pictures_that_are_not_drawn_yet_are_set_aside(tiny, folders):
    drawn(tiny, folders / "made", folders / "sounds")
    (folders / "made" / "03.png").unlink()
    report = judged(folders)
    assert report["counts"]["generated"] == 11
    assert [(one["id"], one["reason"]) for one in report["set_aside"]] == [("03.png", "it was not drawn yet")]


def test_the_same_may_be_judged_again_and_other_pictures_are_refused(folders):
    before = judged(folders)
    assert judged(folders)["metrics"] == before["metrics"]
    (folders / "made" / "00.png").unlink()
    with pytest.raises(OutputError, match=r"(?s)generated\.pictures: on disk 12, now 11.*overwrite=true"):
        judged(folders)


def test_pairs_read_from_a_table_of_people(tmp_path):
    rows = [("a.png", "text", '"a dog, barking"'), ("b.png", "audio", "bark.wav"), ("c.png", "audio", "bark.wav")]
    found = pairs_of(table(tmp_path / "pairs.csv", *rows), tmp_path / "sounds", ["a.png", "b.png", "c.png", "d.png"])
    assert found.query_of == {"a.png": 0, "b.png": 1, "c.png": 1}
    assert [(kind_of(one), name_of(one)) for one in found.queries] == [
        ("text", "a dog, barking"),
        ("audio", "bark.wav"),
    ]
    assert found.queries[1][0].content == str(tmp_path / "sounds" / "bark.wav")
