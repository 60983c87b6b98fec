"""Embedding contents with a trained run: caching, training and embedding, by real code on tiny real models."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from safetensors.torch import load_file
from tiny_run import TinyRun

from fusemix.cli.called import run_command
from fusemix.errors import EncoderError, RunError
from fusemix.fusion.checkpoints import read_checkpoint, trained_model
from fusemix.interfaces import Waveform
from fusemix.latents.manifest import read_manifest
from fusemix.latents.sets import LatentSet, Side
from fusemix.latents.storable import rounded
from fusemix.models.embedder import Embedder
from fusemix.models.matching import built_again

STORES = {"image": ["hog", "vit"], "text": ["bert"], "audio": ["wavlm"]}


@pytest.fixture(scope="module")
def embedder(tiny) -> Embedder:
    return Embedder(tiny.run, device="cpu")


def side_of(tiny: TinyRun, modality: str) -> Side:
    folder = tiny.latents / ("sounds" if modality == "audio" else "pictures") / "all"
    return next(side for side in LatentSet(folder, STORES).sides if side.modality == modality)


def contents_of(tiny: TinyRun, modality: str) -> list:
    """What was cached, decoded by other code than ours, in order of rows."""
    table = side_of(tiny, modality).table
    if modality == "text":
        return table["caption"].to_pylist()
    by_name = {path.name: path for path in tiny.files[modality]}
    paths = [by_name[name] for name in table["id"].to_pylist()]
    if modality == "image":
        return [Image.open(path) for path in paths]
    return [Waveform(*soundfile.read(path, dtype="float32")) for path in paths]


def cached_embeddings(tiny: TinyRun, modality: str) -> np.ndarray:
    model = trained_model(read_checkpoint(tiny.run / "checkpoints" / "best.ckpt"))
    side = side_of(tiny, modality)
    with torch.inference_mode():
        return model.embed(modality, torch.from_numpy(side.take(np.arange(len(side))))).numpy()


def train_on_made_up_latents(make_set, out, *changes: str) -> None:
    encoders = "encoders={image: [eyes], text: [words]}"
    settings = ["embedding_dim=8", "optim={batch_size: 16, max_epochs: 1, warmup_steps: 1}", "holdout=0.2"]
    run_command(
        "train", [f"train={make_set()}", encoders, *settings, "compute.accelerator=cpu", f"out={out}", *changes]
    )


@pytest.mark.parametrize("modality", ["image", "text", "audio"])
def test_an_item_has_the_embedding_that_it_has_in_the_cache(tiny, embedder, modality):
    found = embedder.embed(modality, contents_of(tiny, modality), batch_size=5)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    wanted = cached_embeddings(tiny, modality)
    np.testing.assert_allclose(found, wanted, atol=1e-3)
    distances = np.linalg.norm(wanted[:, None] - wanted[None], axis=-1)[~np.eye(len(wanted), dtype=bool)]
    assert np.median(distances) > 0.1, "items must differ by far more than the tolerance"


@pytest.mark.parametrize("modality", ["image", "text", "audio"])
def test_neither_order_nor_batches_nor_workers_change_an_embedding(tiny, embedder, modality):
    contents = contents_of(tiny, modality)
    order = np.random.default_rng(0).permutation(len(contents))
    shuffled = [contents[place] for place in order]
    alone = embedder.embed(modality, contents, batch_size=1)
    together = embedder.embed(modality, shuffled, batch_size=7, num_workers=1)
    np.testing.assert_allclose(together, alone[order], atol=1e-3)


def test_what_can_be_embedded_and_how_wide_it_is(embedder):
    assert set(embedder.modalities) == {"image", "text", "audio"}
    assert embedder.dim == 16
    assert embedder.embed("text", []).shape == (0, 16)
    assert list(embedder.encoders("image")) == ["hog", "vit"]


def test_a_closed_form_beside_the_adapters_is_part_of_the_embedding(make_set, tmp_path):
    train_on_made_up_latents(make_set, tmp_path / "run", "closed_form.share=0.3")
    model = trained_model(read_checkpoint(tmp_path / "run" / "checkpoints" / "best.ckpt"))
    assert Embedder(tmp_path / "run", device="cpu").dim == model.embed("text", torch.randn(2, 8)).shape[1] > 8


def test_parameters_are_those_of_adapters_and_encoders(tiny, embedder):
    weights = read_checkpoint(tiny.run / "checkpoints" / "best.ckpt")["state_dict"]
    adapters = sum(value.numel() for key, value in weights.items() if key.startswith("model.adapters."))
    folder = Path(tiny.recipes["bert"]["options"]["model"]).parent
    files = [load_file(folder / name / "model.safetensors") for name in ("bert", "vit", "wavlm")]
    frozen = sum(tensor.numel() for tensors in files for tensor in tensors.values())
    assert embedder.num_parameters() == adapters + frozen


def test_encoded_files_are_decoded(tiny, embedder):
    path = tiny.files["image"][0]
    np.testing.assert_allclose(
        embedder.embed("image", [path.read_bytes()]), embedder.embed("image", [Image.open(path)]), atol=1e-6
    )


def test_progress_counts_every_item_once(embedder):
    counts = []
    embedder.embed("text", ["a red bar", "one bar", "some"] * 5, batch_size=4, advance=counts.append)
    assert sum(counts) == 15


# What made the latents


def test_a_run_notes_its_encoders_as_the_user_wrote_them(tiny):
    noted = json.loads((tiny.run / "encoders.json").read_text())
    assert noted == {
        modality: [{"store": store, "source": tiny.recipes[store]} for store in stores]
        for modality, stores in STORES.items()
    }


def test_a_manifest_of_before_has_no_source(tiny, tmp_path):
    folder = tmp_path / "bert"
    shutil.copytree(tiny.latents / "pictures/all/text/bert", folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest.pop("source") == tiny.recipes["bert"]
    assert "source" not in manifest["fingerprint"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert read_manifest(folder).source is None


@pytest.fixture
def older_run(tiny, tmp_path):
    """A run that does not say what builds its encoders."""
    shutil.copytree(tiny.run, tmp_path / "older")
    (tmp_path / "older" / "encoders.json").unlink()
    return tmp_path / "older"


def test_a_run_that_does_not_know_its_encoders_says_how_to_give_them(tiny, older_run):
    older = Embedder(older_run, device="cpu")
    wanted = (
        r"(?s)older: text needs the encoders that the run was trained with:\n  encoder 1: nothing says what builds it. "
        r"Its latents say: .*model bert.*Give them by hand.*encoders=\{'bert': \{'name': "
    )
    with pytest.raises(RunError, match=wanted):
        older.embed("text", ["a red bar"])
    by_hand = Embedder(older_run, encoders=tiny.recipes, device="cpu")
    known = Embedder(tiny.run, device="cpu")
    assert (by_hand.embed("text", ["a red bar"]) == known.embed("text", ["a red bar"])).all()


def test_imported_latents_are_noted_as_of_unknown_source(make_set, tmp_path):
    train_on_made_up_latents(make_set, tmp_path / "run")
    noted = json.loads((tmp_path / "run" / "encoders.json").read_text())
    assert noted == {"image": [{"store": "eyes", "source": None}], "text": [{"store": "words", "source": None}]}
    with pytest.raises(RunError, match=r"encoder 1: nothing says what builds it. Its latents say: family eyes\n"):
        Embedder(tmp_path / "run", device="cpu").embed("image", [Image.new("RGB", (8, 8))])


def test_another_encoder_than_the_one_trained_with_is_refused_field_by_field(tiny):
    vit = tiny.recipes["vit"]
    cls = {"name": "transformers_image", "options": {**vit["options"], "pooling": "cls"}}
    other = Embedder(tiny.run, encoders={"vit": cls}, device="cpu")
    with pytest.raises(RunError, match=r"\n  encoder 2.encoder.pooling: on disk 'mean', now 'cls'\nGive them by hand"):
        other.embed("image", [Image.new("RGB", (8, 8))])
    swapped = Embedder(tiny.run, encoders={"hog": vit, "vit": tiny.recipes["hog"]}, device="cpu")
    with pytest.raises(RunError, match=r"(?s)encoder 1.dim: .*encoder 2.encoder.family: "):
        swapped.embed("image", [Image.new("RGB", (8, 8))])


def test_some_encoders_of_a_modality_may_be_given_and_the_model_knows_the_others(tiny, older_run):
    given = {name: tiny.recipes[name] for name in ("hog", "vit")}
    for run, some in ((tiny.run, {"vit": given["vit"]}), (older_run, given)):
        assert list(Embedder(run, encoders=some, device="cpu").encoders("image")) == ["hog", "vit"]
    with pytest.raises(RunError, match=r"encoder 2: nothing says what builds it"):
        Embedder(older_run, encoders={"hog": given["hog"]}, device="cpu").encoders("image")


def test_encoders_of_unknown_names_and_such_as_cannot_be_loaded_are_named(tiny):
    known = r"encoders.dino: .*run was trained on no latents of that name.*made: hog, vit, bert, wavlm"
    with pytest.raises(RunError, match=known):
        Embedder(tiny.run, encoders={"dino": tiny.recipes["hog"]}, device="cpu")
    gone = {"name": "transformers_text", "options": {"model": "/nowhere/bert"}}
    with pytest.raises(RunError, match=r"\n  encoder 1: there is no folder /nowhere/bert.\nGive them by hand"):
        Embedder(tiny.run, encoders={"bert": gone}, device="cpu").encoders("text")


def test_other_versions_of_packages_are_no_reason_to_refuse(tiny, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(tiny.run, run)
    path = run / "checkpoints" / "best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["hyper_parameters"]["fusemix"]["encoders"]["text"][0]["encoder"]["packages"]["transformers"] = "0.1"
    torch.save(checkpoint, path)
    assert len(Embedder(run, device="cpu").embed("text", ["a red bar"])) == 1


# Mistakes


def test_a_modality_that_the_run_does_not_know_is_named(tiny, embedder):
    with pytest.raises(RunError, match=r"run knows nothing of 'video'. It was trained on: .*image"):
        embedder.embed("video", ["x"])


def test_a_checkpoint_that_is_not_there_is_named(tiny):
    with pytest.raises(RunError, match=r"there is no checkpoint .*first.ckpt. There are: best.ckpt, last.ckpt"):
        Embedder(tiny.run, checkpoint="first", device="cpu")


@pytest.mark.parametrize(
    ("modality", "bad", "reason"),
    [
        ("text", " ", r"\(decode\): ValueError: the text is empty"),
        ("image", 7, r"\(decode\): TypeError: a picture must be"),
        ("audio", Waveform(np.zeros(1, np.float32), 16000), r"\(decode\): ValueError"),
    ],
)
def test_an_item_that_cannot_be_embedded_is_named_by_its_index(tiny, embedder, modality, bad, reason):
    contents = [*contents_of(tiny, modality)[:5], bad, *contents_of(tiny, modality)[5:9]]
    with pytest.raises(EncoderError, match=rf"^{modality} item 5 cannot be embedded {reason}"):
        embedder.embed(modality, contents, batch_size=2)


def test_latents_are_rounded_as_a_store_rounds_them():
    third = np.array([[1 / 3, 2.0]], np.float32)
    assert rounded(third, "float16")[0, 0] == np.float16(1 / 3) != np.float32(1 / 3)
    assert rounded(third, "float32")[0, 0] == np.float32(1 / 3)
    kept = rounded(np.array([[1.0, 1.0], [1e6, 1.0], [1.0, np.nan]], np.float32), "float16")
    assert np.isnan(kept).tolist() == [[False, False], [True, True], [True, True]]


class Loud:
    """An encoder of texts whose latents say how long they are, beyond float16 for the longest."""

    modality, dim, sample_rate, fingerprint = "text", 32, None, {}

    def to(self, device):
        return self

    def prepare(self, contents):
        return [len(text) for text in contents]

    def length(self, prepared):
        return 1

    def collate(self, prepared):
        return torch.tensor(prepared, dtype=torch.float32)

    def encode(self, batch):
        return batch[:, None].expand(-1, 32) * 1e4


def test_a_latent_that_a_store_would_not_hold_is_named(tiny):
    embedder = Embedder(tiny.run, device="cpu")
    embedder._loaded["text"] = {"loud": Loud()}
    assert np.isfinite(embedder.embed("text", ["a", "red"])).all()
    with pytest.raises(EncoderError, match=r"text item 1 cannot be embedded \(encode\): loud gave .* in float16"):
        embedder.embed("text", ["a", "a red bar", "red"])


def test_an_encoder_is_built_as_it_was_whatever_its_repository_says_since(tiny):
    options = tiny.recipes["bert"]["options"]
    then = {"family": "transformers", "pooling": "cls", "prefix": "a ", "preprocessing": {"max_length": 5}}

    def settled(**given):
        made = built_again("transformers_text", {**options, **given}, {"encoder": then}).fingerprint
        return made["pooling"], made["prefix"], made["preprocessing"]["max_length"]

    assert settled() == ("cls", "a ", 5)
    assert settled(pooling="mean", max_length=7) == ("mean", "a ", 7)
