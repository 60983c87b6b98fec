"""A trained run in mteb: its mock tasks, and small tasks of our own whose figures are computed again here."""

# ruff: noqa: E402  (mteb need not be installed)
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

os.environ.setdefault("MTEB_CACHE", str(Path(tempfile.gettempdir()) / "fusemix-tests-mteb"))  # not the user's own
mteb = pytest.importorskip("mteb")

from datasets import Dataset, List, Value
from mteb import mocks
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.cache import ResultCache
from mteb.types import PromptType
from tiny_run import TinyRun

from fusemix.disk.files import sha256_of_file
from fusemix.errors import EncoderError, RunError
from fusemix.integrations.mteb import FusemixModel, load_model, mteb_model, waveform

LETTERS = {"text": "t", "image": "i", "audio": "a"}
ONE_OF = {"t": "text", "i": "image", "a": "audio"}


@pytest.fixture(scope="module")
def model(tiny) -> FusemixModel:
    return mteb_model(tiny.run, device="cpu")


def evaluated(model: FusemixModel, task: AbsTaskRetrieval, **settings: Any) -> dict[str, float]:
    """Scores of the test split of a task."""
    found = mteb.evaluate(model, task, co2_tracker=False, show_progress_bar=False, **{"cache": None, **settings})
    return found.task_results[0].scores["test"][0]


def expected(similarity: np.ndarray, relevant: np.ndarray) -> dict[str, float]:
    """Figures of a full ranking, by their definitions; no scores are tied.

    Args:
        similarity: (queries, documents).
        relevant: the same shape, boolean.
    """
    order = np.argsort(-similarity, axis=1)
    hits = np.take_along_axis(relevant, order, axis=1)
    discounts = 1 / np.log2(np.arange(10) + 2)
    gains = [(row[:10] * discounts[: len(row[:10])]).sum() for row in hits]
    ideal = [discounts[: min(10, count)].sum() for count in relevant.sum(axis=1)]
    first = hits.argmax(axis=1) + 1
    return {
        "ndcg_at_10": float(np.mean(np.array(gains) / np.array(ideal))),
        "hit_rate_at_1": float(np.mean(first <= 1)),
        "hit_rate_at_5": float(np.mean(first <= 5)),
        "recall_at_5": float(np.mean(hits[:, :5].sum(axis=1) / relevant.sum(axis=1))),
        "mrr_at_10": float(np.mean(np.where(first <= 10, 1 / first, 0))),
    }


def own_task(category: str, queries: list, documents: list, links: dict[int, list[int]]) -> AbsTaskRetrieval:
    """A retrieval task over contents as mteb hands them over; `links` joins places of queries and documents."""

    def table(prefix: str, letter: str, contents: list) -> Dataset:
        return Dataset.from_dict({"id": [f"{prefix}{i}" for i in range(len(contents))], ONE_OF[letter]: contents})

    class Own(AbsTaskRetrieval):
        metadata = TaskMetadata(
            name="Own",
            description="Pictures, sounds and captions that the test makes.",
            dataset={"path": "NA", "revision": "NA"},
            type="Any2AnyRetrieval",
            category=category,
            modalities=sorted({ONE_OF[letter] for letter in category.replace("2", "")}),
            eval_splits=["test"],
            eval_langs=["eng-Latn"],
            main_score="ndcg_at_10",
        )

        def load_data(self, **_: Any) -> None:
            of_query, of_document = category.split("2")
            relevant = {f"q{query}": {f"d{doc}": 1 for doc in docs} for query, docs in links.items()}
            self.queries = {"test": table("q", of_query, queries)}
            self.corpus = {"test": table("d", of_document, documents)}
            self.relevant_docs = {"test": relevant}
            self.data_loaded = True

    return Own()


def captions_of(tiny: TinyRun, modality: str) -> list[str]:
    lines = (tiny.files[modality][0].parent / "captions.csv").read_text().splitlines()[1:]
    return [line.split(",")[1] for line in lines]


def contents_of(tiny: TinyRun, modality: str) -> list:
    if modality == "image":
        return [Image.open(path) for path in tiny.files["image"]]
    sounds = [soundfile.read(path, dtype="float32") for path in tiny.files["audio"]]
    return [{"array": samples, "sampling_rate": rate} for samples, rate in sounds]


def embedded(model: FusemixModel, modality: str, contents: list) -> np.ndarray:
    if modality == "audio":
        contents = [waveform(sound) for sound in contents]
    return model.embedder.embed(modality, contents).astype(np.float64)


# Figures


@pytest.mark.parametrize("modality", ["image", "audio"])
@pytest.mark.parametrize("text_asks", [True, False])
def test_mteb_finds_the_figures_that_the_embeddings_have_by_definition(tiny, model, modality, text_asks):
    """Captions are shared by three media: whatever shows one colour and shape, or has one pitch and kind."""
    media, captions = contents_of(tiny, modality), captions_of(tiny, modality)
    kinds = [" ".join(caption.split()[1:]) for caption in captions]
    texts = sorted(set(kinds))
    of_text = {place: [i for i, kind in enumerate(kinds) if kind == text] for place, text in enumerate(texts)}
    of_medium = {i: [texts.index(kind)] for i, kind in enumerate(kinds)}
    category = f"t2{LETTERS[modality]}" if text_asks else f"{LETTERS[modality]}2t"
    queries, documents, links = (texts, media, of_text) if text_asks else (media, texts, of_medium)
    scores = evaluated(model, own_task(category, queries, documents, links))

    of_texts, of_media = embedded(model, "text", texts), embedded(model, modality, media)
    similarity = of_texts @ of_media.T if text_asks else of_media @ of_texts.T
    relevant = np.zeros(similarity.shape, bool)
    for query, found in links.items():
        relevant[query, found] = True
    wanted = expected(similarity, relevant)
    assert {key: scores[key] for key in wanted} == pytest.approx(wanted, abs=1e-5)  # mteb rounds to five digits
    assert 0 < scores["ndcg_at_10"] < 1


MOCKS = {
    "t2t": mocks.MockRetrievalTask,
    "i2t": mocks.MockAny2AnyRetrievalI2TTask,
    "t2i": mocks.MockAny2AnyRetrievalT2ITask,
    "a2t": mocks.MockAny2AnyRetrievalA2TTask,
    "t2a": mocks.MockAny2AnyRetrievalT2ATask,
    "a2a": mocks.MockAny2AnyRetrievalA2ATask,
}


@pytest.mark.parametrize("category", MOCKS)
def test_mocks_of_mteb_run_and_their_figures_are_those_of_the_embeddings(model, category, monkeypatch):
    if not torchcodec_works():  # without it the type Audio neither writes nor reads: the sounds stay dicts
        plain = {"array": List(Value("float32")), "sampling_rate": Value("int64")}
        monkeypatch.setattr("mteb.mocks.mock_tasks.retrieval.Audio", lambda: plain)
    task = MOCKS[category]()
    task.load_data()  # made up again at each call
    if hasattr(task, "queries"):  # how its older tasks hold their data
        queries, corpus, links = (kept["test"] for kept in (task.queries, task.corpus, task.relevant_docs))
    else:
        data = task.dataset["default"]["test"]
        queries, corpus, links = data["queries"], data["corpus"], data["relevant_docs"]
    sides = []
    for table, letter in zip((queries, corpus), category.split("2"), strict=True):
        contents = list(table[ONE_OF[letter]])
        if letter == "t" and "title" in table.column_names:  # mteb puts titles before documents
            contents = [f"{title} {text}" for title, text in zip(table["title"], contents, strict=True)]
        sides.append(embedded(model, ONE_OF[letter], contents))
    relevant = np.array([[links[q].get(d, 0) > 0 for d in corpus["id"]] for q in queries["id"]])
    wanted = expected(sides[0] @ sides[1].T, relevant)
    scores = evaluated(model, task)
    assert {key: scores[key] for key in wanted} == pytest.approx(wanted, abs=1e-5)


def torchcodec_works() -> bool:
    try:
        import torchcodec.decoders  # noqa: F401
    except (ImportError, OSError, RuntimeError):
        return False
    return True


def test_workers_and_batches_do_not_change_what_mteb_finds(tiny, model):
    task = own_task("i2t", contents_of(tiny, "image"), captions_of(tiny, "image"), {i: [i] for i in range(36)})
    one = evaluated(model, task, encode_kwargs={"batch_size": 5}, num_proc=2)
    assert one["ndcg_at_10"] == pytest.approx(evaluated(model, task)["ndcg_at_10"], abs=1e-3)


# What mteb notes


def test_the_run_is_filed_under_its_name_and_the_hash_of_its_checkpoint(tiny, model, tmp_path):
    meta = model.mteb_model_meta
    sha256 = sha256_of_file(tiny.run / "checkpoints" / "best.ckpt")
    assert (meta.name, meta.revision) == ("fusemix/run", sha256[:12])
    assert set(meta.modalities) == {"text", "image", "audio"}
    assert (meta.embed_dim, meta.similarity_fn_name, meta.license) == (16, "cosine", None)
    assert meta.n_parameters == model.embedder.num_parameters()
    task = own_task("t2t", ["a red bar", "one bar"], ["a red bar", "some"], {0: [0], 1: [0]})
    scores = evaluated(model, task, cache=ResultCache(tmp_path))
    noted = json.loads(next(tmp_path.rglob("model_meta.json")).read_text())
    assert (noted["name"], noted["revision"]) == (meta.name, meta.revision)
    written = json.loads(next(tmp_path.rglob("Own.json")).read_text())
    assert written["scores"]["test"][0]["ndcg_at_10"] == scores["ndcg_at_10"]


def test_the_loader_that_is_noted_gives_the_same_model(tiny, model):
    meta = mteb_model(tiny.run, encoders=tiny.recipes, device="cpu", name="lab/mine").mteb_model_meta
    again = meta.loader(meta.name, revision=meta.revision, device="cpu", **meta.loader_kwargs)
    assert again.mteb_model_meta.name == "lab/mine"
    texts = ["a red bar", "one low hum"]
    assert (embedded(again, "text", texts) == embedded(model, "text", texts)).all()


def test_a_checkpoint_that_changed_since_is_refused(tiny):
    with pytest.raises(RunError, match=r"its checkpoint best is revision [0-9a-f]{12} now, not 0123. Call mteb_model"):
        load_model("fusemix/run", "0123", model=str(tiny.run), device="cpu")


@pytest.mark.parametrize(
    ("name", "asked", "searched"),
    [
        ("Flickr30kT2IRetrieval", "text", "image"),
        ("Flickr30kI2TRetrieval", "image", "text"),
        ("AudioCapsT2ARetrieval", "text", "audio"),
        ("AudioCapsA2TRetrieval", "audio", "text"),
        ("ClothoT2ARetrieval", "text", "audio"),
        ("ClothoA2TRetrieval", "audio", "text"),
    ],
)
def test_the_published_tasks_ask_for_one_modality_on_each_side_that_the_run_has(model, name, asked, searched):
    metadata = mteb.get_task(name).metadata
    assert metadata.get_modalities(PromptType.query) == [asked]
    assert metadata.get_modalities(PromptType.document) == [searched]
    assert {asked, searched} <= set(model.mteb_model_meta.modalities)
    assert metadata.type == "Any2AnyRetrieval"


# Odd items


def test_sounds_are_taken_as_dicts_of_one_channel_or_several():
    both = np.stack([np.ones(400), np.zeros(400)])
    assert waveform({"array": both, "sampling_rate": 16000}).samples.tolist() == [0.5] * 400
    one = waveform({"array": [0.25] * 400, "sampling_rate": 8000})
    assert (one.samples.dtype, one.samples[0], one.sample_rate) == (np.float32, 0.25, 8000)


def test_a_text_without_content_does_not_end_the_task(model):
    """The first versions of mteb's Clotho tasks hold such."""
    captions = ["one red bar", "", " some hum"]
    found = evaluated(model, own_task("t2t", captions, captions, {0: [0], 1: [1], 2: [2]}))
    assert found["hit_rate_at_1"] == 1


def test_an_item_that_cannot_be_embedded_is_named_by_its_place(tiny, model):
    sounds = contents_of(tiny, "audio")[:7]
    sounds[5] = {"array": np.full(400, np.nan, np.float32), "sampling_rate": 16000}
    with pytest.raises(EncoderError, match=r"audio item 5 cannot be embedded \(decode\)"):
        evaluated(model, own_task("t2a", ["one hum"], sounds, {0: [0]}))


def test_items_of_two_modalities_at_once_are_refused(model):
    with pytest.raises(RunError, match=r"Mock.*: an item of it is image with text, and .*one modality each"):
        evaluated(model, mocks.MockMultiChoiceTask())


def test_a_run_whose_modalities_mteb_does_not_know_is_refused(tiny, tmp_path):
    checkpoint = torch.load(tiny.run / "checkpoints" / "best.ckpt", weights_only=True)
    named = {"image": "radar", "text": "echoes", "audio": "spectra"}
    record = checkpoint["hyper_parameters"]["fusemix"]
    for of_modality in (record["dims"], record["encoders"], record["config"]["encoders"]):
        for modality in list(of_modality):
            of_modality[named[modality]] = of_modality.pop(modality)
    parts = ((key.split("."), value) for key, value in checkpoint["state_dict"].items())
    checkpoint["state_dict"] = {".".join(named.get(part, part) for part in key): value for key, value in parts}
    (tmp_path / "checkpoints").mkdir()
    torch.save(checkpoint, tmp_path / "checkpoints" / "best.ckpt")
    with pytest.raises(RunError, match=r"was trained on .*radar.*, and mteb's tasks are about .*image"):
        mteb_model(tmp_path, device="cpu")


def test_data_sets_of_torch_that_tasks_make_are_read_by_their_rows(model):
    """mteb's image-text pair classification hands over no data set of Hugging Face."""
    task = next(
        task for task in mocks.ALL_MOCK_TASK_TEST_GRID if task.metadata.name == "MockImageTextPairClassification"
    )
    assert evaluated(model, task)["main_score"] >= 0
