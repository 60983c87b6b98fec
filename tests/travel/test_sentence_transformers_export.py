"""An export is also a model of sentence-transformers, with the same vectors."""

import pickle
import sys

import numpy as np
import pytest
import soundfile
import torch
from exports import train_on_made_up_latents
from PIL import Image

import fusemix
from fusemix.cli.called import run_command
from fusemix.errors import ConfigError, RunError
from fusemix.models.embedder import Embedder
from fusemix.wiring.exporting.sentence_transformers import check_modules

pytest.importorskip("sentence_transformers")
from sentence_transformers import SentenceTransformer


@pytest.fixture(scope="module")
def model(whole) -> SentenceTransformer:
    return SentenceTransformer(str(whole), trust_remote_code=True, device="cpu")


def test_texts_in_any_order_and_batches_get_the_vectors_of_the_run(model, items, wanted):
    np.testing.assert_allclose(model.encode(items["text"]), wanted["text"], atol=1e-5)
    np.testing.assert_allclose(model.encode(items["text"][::-1], batch_size=1), wanted["text"][::-1], atol=1e-5)
    np.testing.assert_allclose(model.encode(items["text"][0]), wanted["text"][0], atol=1e-5)
    assert model.get_embedding_dimension() == 16
    assert model.similarity_fn_name == "cosine"


def test_the_first_numbers_are_those_of_fusemix(model, whole, items):
    wanted = fusemix.load(whole, device="cpu").encode(texts=items["text"], dim=4)
    np.testing.assert_allclose(
        model.encode(items["text"], truncate_dim=4, normalize_embeddings=True), wanted, atol=1e-5
    )


def test_a_prompt_stands_before_texts(model, items):
    np.testing.assert_allclose(model.encode(["square"], prompt="a red "), model.encode(["a red square"]), atol=1e-6)


def test_pictures_and_sounds_get_the_vectors_of_the_run(model, tiny, wanted):
    assert model.modalities == ["text", "image", "audio"]
    pictures = [Image.open(path).convert("RGB") for path in tiny.files["image"][:5]]
    np.testing.assert_allclose(model.encode(pictures), wanted["image"], atol=1e-4)
    paths = [str(path) for path in tiny.files["image"][:5]]
    np.testing.assert_allclose(model.encode(paths), wanted["image"], atol=1e-5)
    sounds = [soundfile.read(path, dtype="float32") for path in tiny.files["audio"][:5]]
    dicts = [{"array": samples, "sampling_rate": rate} for samples, rate in sounds]
    np.testing.assert_allclose(model.encode(dicts), wanted["audio"], atol=1e-4)
    wrapped = [{"audio": {"array": np.stack([samples, samples]), "sampling_rate": rate}} for samples, rate in sounds]
    np.testing.assert_allclose(model.encode(wrapped), wanted["audio"], atol=1e-4)


def test_it_can_be_saved_again_and_handed_to_another_process(model, items, wanted, tmp_path):
    model.save(str(tmp_path / "again"), create_model_card=False)
    again = SentenceTransformer(str(tmp_path / "again"), trust_remote_code=True, device="cpu")
    np.testing.assert_allclose(again.encode(items["text"]), wanted["text"], atol=1e-5)
    module = pickle.loads(pickle.dumps(model[0]))
    assert module.get_embedding_dimension() == 16


def test_it_is_not_loaded_without_consent(whole):
    with pytest.raises(ValueError, match="trust_remote_code=True"):
        SentenceTransformer(str(whole))


def test_other_vectors_are_refused(whole):
    other = Embedder(whole, device="cpu")
    torch.nn.init.normal_(other.trained.model.adapters["text"][-1].weight)
    with pytest.raises(
        RunError, match=r"other vectors than fusemix: the cosine of one caption is .*, where 0.9999 is the"
    ):
        check_modules(whole, other)


def test_a_run_whose_text_encoder_is_unknown_is_refused(make_set, tmp_path, monkeypatch):
    run = train_on_made_up_latents(make_set, tmp_path / "run")
    arguments = [f"model={run}", f"out={tmp_path / 'out'}", "sentence_transformers=true"]
    with pytest.raises(
        RunError, match="run cannot be a model of .*: nothing says what builds its text encoder. Give it"
    ):
        run_command("export", arguments)
    (tmp_path / "my_words.py").write_text("def make(): ...")
    monkeypatch.syspath_prepend(tmp_path)
    own = "encoders={words: {name: 'my_words:make', options: {}}}"
    with pytest.raises(RunError, match="its text encoder runs code that is not fusemix's own"):
        run_command("export", [*arguments, own])


def test_a_missing_package_is_named(tiny, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(
        ConfigError, match=r"needs the package sentence_transformers. .*pip install 'sentence-transformers>="
    ):
        run_command("export", [f"model={tiny.run}", f"out={tmp_path / 'out'}", "sentence_transformers=true"])
