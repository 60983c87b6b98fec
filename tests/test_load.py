"""`fusemix.load`, `encode`, `similarity`: the road that everybody takes."""

import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

import fusemix
from fusemix.errors import ConfigError, EncoderError, RunError


@pytest.fixture(scope="module")
def model(tiny) -> fusemix.Model:
    return fusemix.load(tiny.run, device="cpu")


def test_a_list_gives_rows_and_an_item_a_vector_all_of_unit_length(model):
    rows = model.encode(texts=["a red bar", "one blue circle", "some green square"])
    assert rows.shape == (3, model.dim) == (3, 16)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    one = model.encode(texts="one blue circle")
    assert one.shape == (16,)
    np.testing.assert_allclose(one, rows[1], atol=1e-3)
    assert model.encode(texts=[]).shape == (0, 16)


def test_a_tensor_is_given_when_it_is_asked_for(model):
    rows = model.encode(texts=["a red bar", "one blue circle"])
    tensor = model.encode(texts=["a red bar", "one blue circle"], as_torch=True)
    assert (tensor.dtype, tensor.device.type) == (torch.float32, "cpu")
    np.testing.assert_array_equal(tensor.numpy(), rows)
    np.testing.assert_array_equal(model.similarity(tensor, rows), model.similarity(rows, rows))


def test_latents_are_no_items_where_encoders_are_known(model):
    with pytest.raises(EncoderError, match="text item 0 cannot be embedded"):
        model.encode(texts=np.ones((2, 32), np.float32))


def test_pictures_in_every_form_have_one_embedding(tiny, model):
    path = tiny.files["image"][4]
    file = io.BytesIO()
    Image.open(path).save(file, format="PNG")
    forms = [path, str(path), file.getvalue(), Image.open(path), np.asarray(Image.open(path))]
    rows = model.encode(images=forms)
    np.testing.assert_allclose(rows, np.repeat(rows[:1], 5, axis=0), atol=1e-5)
    assert np.abs(model.encode(images=tiny.files["image"][5]) - rows[0]).max() > 1e-3


def test_sounds_in_every_form_have_one_embedding(tiny, model):
    path = tiny.files["audio"][4]
    samples, rate = soundfile.read(path, dtype="float32")
    rows = model.encode(audio=[path, path.read_bytes(), (samples, rate), fusemix.Waveform(samples, rate)])
    np.testing.assert_allclose(rows, np.repeat(rows[:1], 4, axis=0), atol=1e-5)
    np.testing.assert_allclose(model.encode(audio=samples, sample_rate=rate), rows[0], atol=1e-5)


def test_similarity_is_the_cosine(model):
    a, b = model.encode(texts=["a red bar", "one circle"]), model.encode(texts=["some", "high hum", "a red bar"])
    found = model.similarity(a, b)
    lengths = np.linalg.norm(a.astype(np.float64), axis=1)[:, None] * np.linalg.norm(b.astype(np.float64), axis=1)
    np.testing.assert_allclose(found, a.astype(np.float64) @ b.T.astype(np.float64) / lengths, atol=1e-5)
    assert found.shape == (2, 3)
    assert found.dtype == np.float32
    assert model.similarity(a[0], b).shape == (1, 3)
    assert model.similarity(a[0], a[0])[0, 0] == pytest.approx(1, abs=1e-5)
    with pytest.raises(ValueError, match="are 16 and 15 wide; both must be of one model"):
        model.similarity(a, b[:, 1:])


def test_many_threads_get_what_one_gets(tiny, model):
    texts = [f"{count} {colour} bar" for count in ("a", "one", "some") for colour in ("red", "green", "blue")] * 4
    pictures = tiny.files["image"][:12]
    alone = model.encode(texts=texts, batch_size=1), model.encode(images=pictures, batch_size=1)
    with ThreadPoolExecutor(8) as pool:
        words = pool.map(lambda text: model.encode(texts=text), texts)
        seen = pool.map(lambda path: model.encode(images=path), pictures)
        np.testing.assert_allclose(np.stack(list(words)), alone[0], atol=1e-5)
        np.testing.assert_allclose(np.stack(list(seen)), alone[1], atol=1e-5)


def test_a_long_list_shows_progress_and_a_short_one_is_silent(model, monkeypatch):
    import fusemix.models.model as module

    labels = []
    real = module.counting
    monkeypatch.setattr(module, "counting", lambda label, total: labels.append((label, total)) or real(label, total))
    model.encode(texts=["a"] * 5, batch_size=5)
    assert not labels
    model.encode(texts=["a"] * 6, batch_size=5)
    model.encode(texts=["a"] * 6, batch_size=5, progress=False)
    assert labels == [("text: encoding", 6)]


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({}, ConfigError, "one modality at a time, and got none"),
        ({"texts": "a", "images": []}, ConfigError, "and got images and texts"),
        ({"video": ["a"]}, RunError, "knows nothing of 'video'. It was trained on: "),
        ({"texts": ["a", " "]}, EncoderError, r"text item 1 cannot be embedded \(decode\)"),
        ({"images": ["/nowhere/a.jpg"]}, EncoderError, r"image item 0 .*\(read\): FileNotFoundError.*/nowhere/a.jpg"),
        ({"images": "https://example.org/a.jpg"}, EncoderError, "Fetch it first"),
        ({"audio": np.zeros(400, np.float32)}, EncoderError, "give sample_rate=…"),
    ],
)
def test_mistakes_are_named(model, given, error, message):
    with pytest.raises(error, match=message):
        model.encode(**given)


def test_using_a_model_does_not_import_what_training_needs():
    """Lightning alone takes several seconds."""
    script = "import sys; import fusemix.commands.search, fusemix.models.model; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert "torch" in loaded
    assert not {"lightning", "matplotlib", "transformers", "datasets", "faiss"} & set(loaded)


def test_what_a_model_is_can_be_read(tiny, model):
    assert set(model.modalities) == {"image", "text", "audio"}
    assert model.device == "cpu"
    assert repr(model) == f"fusemix.Model({str(tiny.run)!r}: {', '.join(model.modalities)} in 16)"
