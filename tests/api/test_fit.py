"""`fusemix.fit`: two arrays in memory -> a model that embeds and evaluates."""

import asyncio
import gc
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

import fusemix
from fusemix.errors import ConfigError, FusemixError, RunError

TINY = {
    "embedding_dim": 16,
    "mixup": "none",
    "adapter": "linear",
    "optim": {"batch_size": 16, "max_epochs": 8, "warmup_steps": 2, "lr": 0.01},
    "compute": "cpu",
}
BRIEF = {"optim.max_epochs": 1}
GENERATOR = np.random.default_rng(0)
HIDDEN = GENERATOR.standard_normal((160, 6))
MAPS = GENERATOR.standard_normal((6, 12)), GENERATOR.standard_normal((6, 9))
X, Y = (HIDDEN @ one + 0.05 * GENERATOR.standard_normal((160, one.shape[1])) for one in MAPS)
"""Two views of the same things, in float64."""
NEW = slice(120, None)


@pytest.fixture(scope="module")
def model():
    return fusemix.fit(images=X[:120], texts=Y[:120], recipe=TINY)


def test_a_fitted_model_finds_what_it_has_not_seen(model):
    found = model.similarity(model.encode(images=X[NEW]), model.encode(texts=Y[NEW]))
    assert (found.argmax(axis=1) == np.arange(40)).mean() > 0.4  # one in forty by chance
    report = model.evaluate(images=X[NEW], texts=Y[NEW], compute="cpu")
    assert report.metrics["image_to_text/recall_at_1"] == pytest.approx((found.argmax(axis=1) == np.arange(40)).mean())
    assert not [entry["note"] for entry in report.data["seen"] if entry["note"]]


def test_latents_in_any_type_and_form_have_one_embedding(model):
    as_float = X[NEW].astype(np.float32)
    rows = model.encode(images=as_float)
    assert (rows.shape, rows.dtype) == ((40, model.dim), np.float32)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(model.encode(images=torch.tensor(as_float, requires_grad=True)), rows)
    np.testing.assert_array_equal(model.encode(images=X[NEW]), rows)
    np.testing.assert_allclose(model.encode(images=torch.tensor(as_float).bfloat16()), rows, atol=0.05)
    np.testing.assert_array_equal(model.encode(images=np.asfortranarray(as_float)), rows)
    np.testing.assert_allclose(model.encode(images=as_float[3]), rows[3], atol=1e-6)
    tensor = model.encode(images=as_float, as_torch=True)
    assert isinstance(tensor, torch.Tensor)
    np.testing.assert_array_equal(tensor.numpy(), rows)
    assert model.encode(images=as_float[:0]).shape == (0, model.dim)


def test_links_say_what_belongs_together(model):
    order = np.random.default_rng(1).permutation(120)
    links = np.column_stack([np.arange(120), np.argsort(order)])
    other = fusemix.fit(texts=torch.tensor(Y[:120][order]), images=X[:120], links=links.tolist(), recipe=TINY)
    measured = {"images": X[NEW], "texts": Y[NEW], "compute": "cpu"}
    assert other.evaluate(**measured).metrics["mean_recall"] == pytest.approx(
        model.evaluate(**measured).metrics["mean_recall"], abs=0.1
    )
    wrong = np.column_stack([np.arange(40), np.arange(40)[::-1]])
    assert other.evaluate(**measured, links=wrong).metrics["image_to_text/recall_at_1"] < 0.3


def test_a_report_says_so_where_latents_were_trained_on(model):
    report = model.evaluate(images=X[:120], texts=Y[:120], compute="cpu")
    assert "were trained on" in " ".join(entry["note"] for entry in report.data["seen"])


def test_what_lies_in_a_temporary_folder_goes_with_the_model(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    fitted = fusemix.fit(images=X, texts=Y, recipe=TINY, **BRIEF)
    report = fitted.evaluate(images=X[NEW], texts=Y[NEW], compute="cpu")
    assert len(list(tmp_path.glob("fusemix-*"))) == 1
    del fitted
    gc.collect()
    assert not list(tmp_path.glob("fusemix-*"))
    assert "direction" in repr(report)
    with pytest.raises(FusemixError):
        fusemix.fit(images=X, texts=Y, recipe=TINY, loss="nothing")
    assert not list(tmp_path.glob("fusemix-*"))


def test_a_run_that_is_kept_is_given_back_and_loads_anywhere(tmp_path):
    how = {"images": X[:60], "texts": Y[:60], "recipe": TINY, **BRIEF, "out": tmp_path / "no run=1"}
    first = fusemix.fit(**how)
    written = first.run.checkpoint.stat().st_mtime_ns
    again = fusemix.fit(**how)
    assert again.run.checkpoint.stat().st_mtime_ns == written
    np.testing.assert_array_equal(first.encode(images=X[NEW]), again.encode(images=X[NEW]))
    loaded = fusemix.load(tmp_path / "no run=1", device="cpu")
    np.testing.assert_array_equal(loaded.encode(texts=Y[NEW]), first.encode(texts=Y[NEW]))
    with pytest.raises(RunError, match="holds a run that differs from this one"):
        fusemix.fit(**{**how, "images": X[:60] + 1})
    with pytest.raises(RunError, match=r"image is|images is 5 wide, and .* was trained on image latents of width 12"):
        loaded.encode(images=X[:, :5])


def test_a_report_that_is_kept_is_whole(tmp_path, model):
    report = model.evaluate(images=X[NEW], texts=Y[NEW], compute="cpu", out=tmp_path / "report")
    assert report.folder == tmp_path / "report"
    assert {"report.html", "report.json", "report.md", "queries.jsonl"} <= {p.name for p in report.folder.iterdir()}


def test_the_recipe_is_chosen_where_none_is_given_and_may_be_a_file(tmp_path):
    fusemix.fit(images=X, texts=Y, out=tmp_path / "fewest", compute="cpu")
    assert "method: csa" in (tmp_path / "fewest" / "config.yaml").read_text()
    file = tmp_path / "my.yaml"
    file.write_text("adapter: linear\nmixup: none\noptim: {batch_size: 8, max_epochs: 1}\nholdout: 0.5\n")
    fitted = fusemix.fit(audio=X, texts=Y, recipe=file, out=tmp_path / "own", embedding_dim=4, compute="cpu")
    assert fitted.modalities == ("audio", "text")
    assert "holdout: 0.5" in (tmp_path / "own" / "config.yaml").read_text()
    assert fitted.encode(audio=X).shape == (160, 4)


def test_it_works_where_an_event_loop_runs():
    async def cell():
        return fusemix.fit(images=X, texts=Y, recipe=TINY, **BRIEF)

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        model = asyncio.run(cell())
    else:  # a browser's, which another test has left
        model = fusemix.fit(images=X, texts=Y, recipe=TINY, **BRIEF)
    assert model.dim == 16


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "two modalities are aligned, and 0 were given"),
        ({"images": X}, r"and 1 were given \(images\)"),
        ({"images": X, "texts": Y, "audio": Y}, "and 3 were given"),
        ({"images": X, "texts": Y[:-1]}, "images has 160 rows and texts 159, and without links row i belongs to row i"),
        ({"images": X[0], "texts": Y}, r"images has the shape \(12,\), but latents are \(rows, dim\)"),
        ({"images": X[None], "texts": Y}, r"images has the shape \(1, 160, 12\)"),
        ({"images": X, "texts": Y[:, :0]}, "its rows hold no numbers"),
        ({"images": X.astype(int), "texts": Y}, "images holds int64, but latents are floating point"),
        ({"images": X * 1e300, "texts": Y}, "images has NaN, infinity or a number beyond float32 in 160 of 160 rows"),
        ({"images": [[1.0], [2.0, 3.0]], "texts": Y}, "images is no array"),
        ({"images": torch.empty(160, 4, device="meta"), "texts": Y}, "images is a tensor without its numbers"),
        ({"images": X[:19], "texts": Y[:19]}, "there are 19 links, and at least 20 are needed"),
        ({"images": X, "texts": Y, "links": np.zeros((30, 3), int)}, r"links is int64 of the shape \(30, 3\)"),
        ({"images": X, "texts": Y, "links": np.zeros((30, 2))}, "links is float64 of the shape"),
        ({"images": X, "texts": Y, "links": [[0, 0], [160, 0]]}, r"links\[1, 0\] is 160, but images has rows 0 to 159"),
        ({"images": X, "texts": Y, "links": [[0, -1]]}, r"links\[0, 1\] is -1, but texts has rows 0 to 159"),
        ({"images": X, "texts": Y, "train": "x"}, "fit takes no train: it fills that in itself"),
        (
            {"images": X, "texts": Y, "video": X},
            "video is an array, and fit takes arrays as images, audio, texts and links alone",
        ),
        ({"images": X, "texts": Y, "recipe": "fewpairs"}, "no recipe of that name. Did you mean 'few_pairs'"),
    ],
)
def test_mistakes_are_named_before_anything_is_trained(given, message):
    with pytest.raises(ConfigError, match=message):
        fusemix.fit(**given)


def test_a_row_that_is_not_finite_is_named():
    broken = X.copy()
    broken[[7, 90], 3] = np.nan, np.inf
    with pytest.raises(ConfigError, match="in 2 of 160 rows, the first of them row 7. Leave these rows out"):
        fusemix.fit(images=broken, texts=torch.tensor(Y))


def test_a_pair_that_is_linked_twice_counts_once(tmp_path):
    links = np.repeat(np.column_stack([np.arange(160)] * 2), 2, axis=0)
    fusemix.fit(images=X, texts=Y, links=torch.tensor(links), recipe=TINY, out=tmp_path / "run", **BRIEF)
    assert "pairs" not in Path(tmp_path / "run" / "metrics.csv").read_text()
    assert (len(links), len(np.unique(links, axis=0))) == (320, 160)


def test_what_is_kept_stays_on_this_machine():
    with pytest.raises(ConfigError, match=r"out is 'memory://bucket/run', but must be a path of this machine"):
        fusemix.fit(images=X, texts=Y, recipe=TINY, out="memory://bucket/run")
    assert not Path("memory:").exists()


def test_a_temporary_folder_that_cannot_be_is_an_error_of_ours(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere/at all")
    with pytest.raises(FusemixError, match="nowhere"):
        fusemix.fit(images=X, texts=Y, recipe=TINY)
