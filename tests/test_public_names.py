"""`import fusemix`: every name works, and the stages can be called."""

import pytest

import fusemix
from fusemix.errors import ConfigError, FusemixError, first_line


def test_every_public_name_is_there():
    assert [name for name in fusemix.__all__ if getattr(fusemix, name, None) is None] == []
    names: dict[str, object] = {}
    exec("from fusemix import *", names)
    assert set(fusemix.__all__) <= names.keys()


def test_the_three_stages_are_called_like_the_scripts(tiny, make_set, tmp_path):
    pictures = tiny.files["image"][0].parent
    captions = {"folder": pictures, "captions": pictures / "captions.csv"}
    (folder,) = fusemix.cache_features(
        dataset={"name": "image_captions", "options": captions},
        encoders={"hog": tiny.recipes["hog"]},
        splits=["all"],
        compute="cpu",
        num_workers=0,
        out=tmp_path / "latents",
    )
    assert folder == tmp_path / "latents" / "all"
    assert fusemix.LatentStore(folder / "image" / "hog").manifest.num_rows == len(tiny.files["image"])
    settings = tmp_path / "train.yaml"
    settings.write_text("encoders: {image: [eyes], text: [words]}\nholdout: 0.5\noptim: {max_epochs: 3}\n")
    optim = {"batch_size": 16, "max_epochs": 1, "warmup_steps": 1, "lr": 1e-05}
    best = fusemix.train(
        settings, train=make_set(), embedding_dim=8, holdout=0.2, optim=optim, compute="cpu", out=tmp_path / "007"
    )
    assert best == tmp_path / "007" / "checkpoints" / "best.ckpt"
    assert best.is_file()
    report = fusemix.eval_retrieval(
        model=tmp_path / "007", latents=make_set("test", seed=1), compute="cpu", out=tmp_path / "report"
    )
    assert 0 <= report["metrics"]["text_to_image/recall_at_1"] <= 1
    with pytest.raises(ConfigError, match="nothing"):
        fusemix.train(tmp_path / "nothing.yaml")
    with pytest.raises(FusemixError, match=r"optim\.lr"):
        fusemix.train(settings, train=make_set("more"), out=tmp_path / "x", **{"optim.lr": -1})


@pytest.mark.parametrize("text", ["", "\n", " \n\t\n"])
def test_an_error_without_a_text_is_told_by_its_kind(text):
    assert first_line(ValueError(text)) == "ValueError"
    assert first_line(ValueError(f"{text}\n two \nthree")) == "two"


def test_no_message_of_an_error_is_cut_by_hand():
    from pathlib import Path

    package = Path(fusemix.__file__).parent
    found = [path.name for path in package.rglob("*.py") if "str(error).splitlines()[0]" in path.read_text()]
    assert found == []
