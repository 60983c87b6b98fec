"""Items without partners in training: used where validation is better for them; refused where they make no sense."""

import json
import re

import numpy as np
import pytest
from latent_samples import pair_set, write_store

from fusemix.cli.called import run_command
from fusemix.errors import ConfigError, LatentStoreError, RunError
from fusemix.fusion.checkpoints import about, read_checkpoint
from fusemix.latents.set_writer import write_set
from fusemix.models.trained import open_trained

PAIRS, OTHERS, HELD_OUT, WIDTHS = 20, 300, 60, (24, 16)
GENERATOR = np.random.default_rng(0)
MAPS = [GENERATOR.standard_normal((6, width)).astype(np.float32) for width in WIDTHS]


def world_set(folder, count, seed, *, which=("image", "text"), shift=0):
    """Latents of few hidden numbers, seen by two encoders with noise; stores of some modalities alone."""
    generator = np.random.default_rng(seed)
    links = np.column_stack([np.arange(count)] * 2)
    pairs = pair_set(links, folder.name)
    write_set(folder, pairs, {"name": "made_up.module:factory", "options": {"seed": seed}})
    hidden = generator.standard_normal((count, 6)).astype(np.float32) + shift
    for items, store, width_map in ((pairs.left, "eyes", MAPS[0]), (pairs.right, "words", MAPS[1])):
        if items.modality in which:
            noise = generator.standard_normal((count, width_map.shape[1])).astype(np.float32)
            write_store(folder, items, store, hidden @ width_map + 2.0 * noise)
    return folder


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    return {
        "train": world_set(folder / "train", PAIRS, 1),
        "validation": world_set(folder / "validation", HELD_OUT, 2),
        "pictures": world_set(folder / "pictures", OTHERS, 3, which=("image",)),
        "texts": world_set(folder / "texts", OTHERS, 4, which=("text",)),
    }


def train(sets, out, *changes, **unpaired):
    settings = [
        *(f"{name}={sets[name]}" for name in ("train", "validation")),
        *("encoders={image: [eyes], text: [words]}", "method=csa", "adapter=linear", "embedding_dim=8"),
        *(f"unpaired.{modality}={folder}" for modality, folder in unpaired.items()),
        *("compute=cpu", "logger=[]", f"out={out}", *changes),
    ]
    run_command("train", settings)
    return out


def test_they_help_the_closed_form_of_few_pairs_and_enter_the_banks(sets, tmp_path, capsys):
    run = train(sets, tmp_path / "run", image=sets["pictures"], text=sets["texts"])
    said = capsys.readouterr().out
    found = re.search(r"300 image and 300 text items help the closed form: ([0-9.]+) → ([0-9.]+) on", said)
    assert found and float(found[2]) > float(found[1])
    assert f"best validation/mean_recall {float(found[2]) / 100:.3f}" in said  # what is trained is what was chosen
    assert {name: len(bank) for name, bank in open_trained(run).hubs.banks.items()} == {"image": 320, "text": 320}
    noted = json.loads((run / "data.json").read_text())
    assert [entry.get("unpaired") for entry in noted] == [None, None, "image", "text"]


def test_what_does_not_help_leaves_the_closed_form_as_it_was(sets, tmp_path, capsys):
    """Both unpaired sets lie where no pair lies, all in one place."""
    plain = train(sets, tmp_path / "plain")
    away = [world_set(tmp_path / name, OTHERS, seed, shift=50) for seed, name in ((9, "one"), (8, "other"))]
    run = train(sets, tmp_path / "run", image=away[0], text=away[1])
    assert "do not help the closed form" in capsys.readouterr().out
    one, other = (read_checkpoint(r / "checkpoints" / "best.ckpt")["state_dict"] for r in (plain, run))
    name = "model.adapters.image.linear.weight"
    np.testing.assert_array_equal(one[name], other[name])


def test_one_side_alone_may_be_unpaired_and_with_other_unpaired_items_it_is_another_run(sets, tmp_path, capsys):
    run = train(sets, tmp_path / "run", image=sets["pictures"])
    assert "unpaired: 300 image items" in capsys.readouterr().out
    assert about(read_checkpoint(run / "checkpoints" / "best.ckpt"))["unpaired"]["image"]["count"] == OTHERS
    with pytest.raises(RunError, match="differs from this one"):
        train(sets, run)


def test_items_that_have_partners_are_left_out(sets, tmp_path, capsys):
    """The set holds the pictures of the pairs and of validation, too."""
    more = world_set(tmp_path / "more", PAIRS, 1)
    with pytest.raises(ConfigError, match=r"unpaired\.image: all 20 image items .* are trained or validated on"):
        train(sets, tmp_path / "run", image=more)
    with pytest.raises(ConfigError, match=r"unpaired\.text: all 60 text items .* are trained or validated on"):
        train(sets, tmp_path / "run", text=sets["validation"])


@pytest.mark.parametrize(
    ("unpaired", "changes", "error", "said"),
    [
        ({"audio": "pictures"}, (), ConfigError, r"unpaired\.audio: encoders names only image, text"),
        ({"image": "texts"}, (), LatentStoreError, "no latent store"),
        ({"image": "nowhere"}, (), LatentStoreError, "is no latent set"),
        ({"image": "pictures"}, ("method=contrastive",), ConfigError, "unpaired items go into the closed form"),
    ],
)
def test_bad_input_is_one_message(sets, tmp_path, unpaired, changes, error, said):
    given = {modality: sets.get(name, tmp_path / name) for modality, name in unpaired.items()}
    with pytest.raises(error, match=said):
        train(sets, tmp_path / "run", *changes, **given)


def test_latents_of_another_encoder_are_refused(sets, tmp_path):
    folder = tmp_path / "other"
    pairs = pair_set(np.column_stack([np.arange(30)] * 2), "other")
    write_set(folder, pairs, {})
    write_store(folder, pairs.left, "eyes", np.ones((30, 7), np.float32))
    with pytest.raises(RunError, match="were not made like those"):
        train(sets, tmp_path / "run", image=folder)
