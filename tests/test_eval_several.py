"""One command measures several sets, and what is judged between them: also directions that no pair has taught."""

import json

import numpy as np
import pytest
from latent_samples import learnable_set

from fusemix.cli.called import run_command
from fusemix.errors import ConfigError

NUM = 40


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """A run of pictures, sounds and texts, and test sets in which picture i and sound i have one latent."""
    folder = tmp_path_factory.mktemp("three")
    for modality in ("image", "audio"):
        learnable_set(folder / modality, "train", num_left=200, left=modality, seed=1)
        learnable_set(folder / modality, "test", num_left=NUM, left=modality, seed=2)
    (folder / "judged.csv").write_text("image,audio\n" + "".join(f"picture-{i},picture-{i}\n" for i in range(NUM)))
    run_command(
        "train",
        [
            f"train={folder / 'image' / 'train'}",
            f"also={{sounds: {{train: {folder / 'audio' / 'train'}}}}}",
            "encoders={image: [eyes], audio: [eyes], text: [words]}",
            "embedding_dim=8",
            "adapter={name: linear}",
            "mixup.name=none",
            "optim={batch_size: 64, max_epochs: 12, warmup_steps: 5, lr: 0.02}",
            "compute.accelerator=cpu",
            f"out={folder / 'run'}",
        ],
    )
    return folder


def settings(three, out, *changes):
    return [
        f"model={three / 'run'}",
        f"latents={three / 'image' / 'test'}",
        f"more={{sounds: {three / 'audio' / 'test'}}}",
        f"out={out}",
        "compute.accelerator=cpu",
        "num_examples=1",
        *changes,
    ]


def test_every_direction_stands_in_one_table_and_has_a_report(three, tmp_path):
    judged = f"judgements={three / 'judged.csv'}"
    found = run_command("eval_retrieval", settings(three, tmp_path / "all", judged))
    assert found == tmp_path / "all" / "directions.json"
    parts = json.loads(found.read_text())["reports"]
    assert list(parts) == ["image_text", "audio_text", "image_audio"]
    directions = [name for part in parts.values() for name in part["counts"]]
    assert directions == [
        *("image_to_text", "text_to_image", "audio_to_text", "text_to_audio", "image_to_audio", "audio_to_image")
    ]
    for name, part in parts.items():
        report = json.loads((tmp_path / "all" / name / "report.json").read_text())
        assert report["metrics"] == part["metrics"]
        assert (tmp_path / "all" / name / "report.html").is_file()
    told = (tmp_path / "all" / "directions.md").read_text()
    assert all(direction.replace("_", " ") in told for direction in directions)
    # No pair of a picture and a sound was trained on; they meet in the space of the texts.
    metrics = parts["image_audio"]["metrics"]
    assert metrics["image_to_audio/recall_at_1"] > 10 / NUM and metrics["audio_to_image/recall_at_1"] > 10 / NUM
    assert parts["image_audio"]["counts"]["image_to_audio"]["queries"] == NUM
    alone = settings(three, tmp_path / "alone")
    run_command("eval_retrieval", [word for word in alone if not word.startswith("more")])
    assert json.loads((tmp_path / "alone" / "report.json").read_text())["metrics"] == parts["image_text"]["metrics"]


def test_the_same_is_written_again_and_another_one_is_refused(three, tmp_path):
    judged = tmp_path / "judged.csv"
    judged.write_text("image,audio\npicture-0,picture-1\npicture-1,picture-1\n")
    words = settings(three, tmp_path / "out", f"judgements={judged}", "ks=[1]")
    run_command("eval_retrieval", words)
    run_command("eval_retrieval", words)
    judged.write_text("image,audio\npicture-0,picture-0\npicture-1,picture-1\n")
    with pytest.raises(Exception, match="overwrite=true"):
        run_command("eval_retrieval", words)
    run_command("eval_retrieval", [*words, "overwrite=true"])
    found = json.loads((tmp_path / "out" / "directions.json").read_text())["reports"]["image_audio"]
    assert found["counts"]["audio_to_image"]["queries"] == 2 and np.isfinite(list(found["metrics"].values())).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["bank=x"], "are for one set, and more names others"),
        (["judgements=none.csv"], r"none.csv cannot be read as a CSV"),
    ],
)
def test_settings_that_do_not_fit_are_one_sentence(three, tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        run_command("eval_retrieval", settings(three, tmp_path / "out", *changes))


def test_judgements_of_one_set_are_refused(three, tmp_path):
    words = [word for word in settings(three, tmp_path / "out") if not word.startswith("more")]
    with pytest.raises(ConfigError, match=r"there is one\. Name another with more"):
        run_command("eval_retrieval", [*words, "judgements=x.csv"])
