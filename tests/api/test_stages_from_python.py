"""The stages as functions: settings in, objects out, and nothing else is changed."""

import _thread
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import fusemix
from fusemix.config import ComputeConfig, EvalConfig
from fusemix.errors import ConfigError, FusemixError, QueryError, RunError

SETTINGS = """
encoders: {image: [hog], text: [bert]}
holdout: 0.2
embedding_dim: 8
adapter: linear
mixup: none
compute: {accelerator: cpu}
optim: {batch_size: 4, max_epochs: 1, warmup_steps: 1}
"""


class Made(NamedTuple):
    sets: list
    run: fusemix.Run
    report: fusemix.Report
    index: fusemix.SearchIndex
    settings: Path


@pytest.fixture(scope="module")
def made(tiny, tmp_path_factory) -> Made:
    folder = tmp_path_factory.mktemp("stages no=1")
    pictures = tiny.files["image"][0].parent
    options = {"folder": pictures, "captions": pictures / "captions.csv"}
    sets = fusemix.cache_features(
        dataset={"name": "image_captions", "options": options},
        encoders={"hog": tiny.recipes["hog"], "bert": tiny.recipes["bert"]},
        splits="all",
        compute="cpu",
        num_workers=0,
        out=folder / "latents",
    )
    settings = folder / "train.yaml"
    settings.write_text(SETTINGS)
    run = fusemix.train(settings, train=sets[0].folder, out=folder / "007", **{"optim.max_epochs": 2})
    report = fusemix.eval_retrieval(
        EvalConfig(
            model=str(run.folder),
            latents=str(sets[0].folder),
            out=str(folder / "report"),
            num_examples=2,
            compute=ComputeConfig(accelerator="cpu"),
        )
    )
    index = fusemix.index(model=run.folder, latents=sets[0].folder, out=folder / "index", compute="cpu")
    return Made(sets, run, report, index, settings)


def test_caching_gives_latent_sets_that_are_arrays(made, tiny):
    (found,) = made.sets
    arrays = found.numpy()
    assert (len(arrays.left), len(arrays.right)) == (len(tiny.files["image"]), len(found.right))
    assert arrays.left.shape[1] == found.left.dim
    np.testing.assert_array_equal(arrays.links, found.links)
    np.testing.assert_array_equal(arrays.left, np.load(next(found.folder.glob("image/hog/latents-*.npy"))))
    assert f"{len(tiny.files['image'])} image (hog {found.left.dim})" in repr(found)
    again = fusemix.LatentSet(found.folder)
    assert [store.manifest.encoder for side in again.sides for store in side.stores] == ["hog", "bert"]


def test_one_side_may_be_cached_by_itself(tiny, tmp_path):
    pictures = tiny.files["image"][0].parent
    options = {"folder": str(pictures), "captions": str(pictures / "captions.csv")}
    how = {"splits": ["all"], "compute": "cpu", "num_workers": 0, "out": tmp_path}
    given = {"dataset": {"name": "image_captions", "options": options}, "encoders": {"hog": tiny.recipes["hog"]}}
    (found,) = fusemix.cache_features(given, **how)
    assert found.right.dims == []
    assert not fusemix.cache_features(given, **how, dry_run=True)


def test_training_gives_a_run_with_its_history_and_its_model(made, tiny):
    run = made.run
    assert run.folder.name == "007"
    assert run.checkpoint.is_file()
    assert run.metrics["epoch"] == [0, 1]
    assert all(value is not None for value in run.metrics["train/loss"])
    assert run.best["validation/mean_recall"] == max(run.metrics["validation/mean_recall"])
    assert run.to_pandas().loc[1, "train/loss"] == run.metrics["train/loss"][1]
    assert run.model is run.model
    np.testing.assert_array_equal(
        run.model.encode(images=tiny.files["image"][0]), run.load(device="cpu").encode(images=tiny.files["image"][0])
    )
    assert repr(run).startswith("fusemix.Run(")
    assert "2 epochs, best mean recall" in repr(run)
    assert "<svg" in run._repr_html_()


def test_a_run_without_a_history_shows_its_folder(made, tmp_path):
    where = {"train": made.sets[0].folder, "out": tmp_path / "run"}
    for how in ({"dry_run": True}, {"logger": []}):
        run = fusemix.train(made.settings, **where, **how)
        assert repr(run) == f"fusemix.Run('{tmp_path / 'run'}')"
        assert repr(run) in run._repr_html_().replace("&#x27;", "'")


def test_an_index_that_is_not_made_cannot_be_returned(made, tmp_path):
    with pytest.raises(ConfigError, match="dry_run makes none"):
        fusemix.index(model=made.run.folder, latents=made.sets[0].folder, out=tmp_path / "i", dry_run=True)
    assert not (tmp_path / "i").exists()


def test_evaluation_gives_a_report_that_shows_itself(made):
    report = made.report
    assert report.metrics == report.data["metrics"]
    table = report.to_pandas()
    assert table.loc["image_to_text/recall_at_1", "value"] == report.metrics["image_to_text/recall_at_1"]
    assert table.loc["image_to_text/recall_at_1", "by_chance"] == pytest.approx(1 / 36)
    assert "R@1" in repr(report)
    assert "\x1b" not in repr(report)
    html = report._repr_html_()
    assert "R@1" in html
    assert "data:image/png;base64," in html
    assert report.picture._repr_png_().startswith(b"\x89PNG")


def test_an_index_is_searched_by_texts_pictures_and_what_is_in_it(made, tiny):
    found = made.index
    assert len(found) == 36
    hits = found.search(image=tiny.files["image"][4], k=3)
    assert len(hits) == 3
    assert hits[0].score == pytest.approx(1, abs=1e-3)
    assert found.search(like=hits[0].id, k=1)[0].id == hits[0].id
    by_text = found.search("a red bar", k=5)
    assert [hit.score for hit in by_text] == sorted((hit.score for hit in by_text), reverse=True)
    assert by_text.to_pandas()["score"].tolist() == [hit.score for hit in by_text]
    assert by_text.content(0).size[1] == 48
    assert "text: a red bar" in repr(by_text)
    assert by_text._repr_html_().count("<img") == 5
    assert found.search(["a red bar", "one"], k=1)[0].score != by_text[0].score
    less = found.search("a red bar", like=hits[0].id, weights=[1, -0.5], k=1000)
    assert "text: a red bar - 0.5*like: " in repr(less)
    more = found.search("a red bar", like=hits[0].id, weights=[1, 0.5], k=1000)
    assert [hit.id for hit in less].index(hits[0].id) > [hit.id for hit in more].index(hits[0].id)
    with pytest.raises(QueryError, match="weights has 1 numbers, but there are 2 queries"):
        found.search(["a", "b"], weights=[1])
    with pytest.raises(QueryError, match="nothing to search for"):
        found.search()
    with pytest.raises(QueryError, match="k is 0"):
        found.search("a", k=0)
    assert [hit.id for hit in fusemix.SearchIndex(found.folder, device="cpu").search("a red bar")[:5]] == [
        hit.id for hit in by_text
    ]


def test_nothing_is_said_of_what_to_type(made, tmp_path, capsys):
    fusemix.train(made.settings, train=made.sets[0].folder, out=tmp_path / "run")
    fusemix.eval_retrieval(model=tmp_path / "run", latents=made.sets[0].folder, out=tmp_path / "report", num_examples=0)
    said = capsys.readouterr().out
    assert "trained" in said
    assert "next:" not in said
    assert "R@1" not in said  # the report shows itself


def test_what_a_user_can_fix_is_a_fusemix_error(made, tmp_path):
    with pytest.raises(ConfigError, match="nothing"):
        fusemix.train(tmp_path / "nothing.yaml")
    with pytest.raises(FusemixError, match=r"optim\.lr"):
        fusemix.train(made.settings, train=made.sets[0].folder, out=tmp_path / "x", **{"optim.lr": -1})
    with pytest.raises(RunError, match="there is no checkpoint"):
        fusemix.eval_retrieval(model=tmp_path, latents=made.sets[0].folder, out=tmp_path / "r")
    (tmp_path / "file").write_text("")
    with pytest.raises(FusemixError, match=r"file"):
        fusemix.index(model=made.run.folder, latents=made.sets[0].folder, out=tmp_path / "file" / "index")
    with pytest.raises(ConfigError, match="devices"):
        fusemix.train(made.settings, train=made.sets[0].folder, out=tmp_path / "x", compute={"devices": "none of them"})


def test_training_works_in_another_thread_than_the_first(made, tmp_path):
    found = []
    thread = threading.Thread(
        target=lambda: found.append(fusemix.train(made.settings, train=made.sets[0].folder, out=tmp_path / "run"))
    )
    thread.start()
    thread.join()
    assert found[0].checkpoint.is_file()


def test_several_processes_in_a_notebook_are_refused_in_a_sentence(made, tmp_path, monkeypatch):
    for module in ("pytorch.trainer.connectors.accelerator_connector", "fabric.connector"):
        monkeypatch.setattr(f"lightning.{module}._IS_INTERACTIVE", True)
    with pytest.raises(ConfigError, match="devices=2.* not compatible with an interactive environment"):
        fusemix.train(made.settings, train=made.sets[0].folder, out=tmp_path / "run", compute={"devices": 2})
    assert not (tmp_path / "run").exists()


def test_who_interrupts_gets_an_interruption_and_no_exit(made, tmp_path):
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    done = threading.Event()

    def interrupt():
        while not (tmp_path / "run" / "metrics.csv").is_file() and not done.is_set():
            time.sleep(0.05)
        if not done.is_set():
            _thread.interrupt_main()

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            fusemix.train(
                made.settings, train=made.sets[0].folder, out=tmp_path / "run", **{"optim.max_epochs": 100_000}
            )
    finally:
        done.set()
        thread.join()
    assert handlers == {number: signal.getsignal(number) for number in handlers}


SCRIPT = """
import sys
sys.path[:0] = {paths!r}
import numpy as np, torch, lightning  # the caller's own
import fusemix, fusemix.api.fit, fusemix.api.search
from caller_states import loggers, states
torch.set_num_threads(2)
latents, pictures, folder, settings = sys.argv[1:]
x = np.random.default_rng(0).standard_normal((40, 6))
tiny = dict(embedding_dim=4, mixup="none", adapter="linear", compute="cpu")
optim = dict(batch_size=8, max_epochs=1, warmup_steps=1)
calls = dict(
    fit=lambda: fusemix.fit(images=x, texts=x, recipe=tiny, optim=optim),
    cache=lambda: fusemix.cache_features(
        dataset=dict(name="image_captions", options=dict(folder=pictures, captions=pictures + "/captions.csv")),
        encoders=dict(hog=dict(name="hog", options=dict(size=32, coarse=4))),
        splits="all", compute="cpu", num_workers=0, out=folder + "/latents"),
    train=lambda: fusemix.train(settings, train=latents, out=folder + "/run"),
    evaluate=lambda: fusemix.eval_retrieval(
        model=folder + "/run", latents=latents, out=folder + "/report", num_examples=1),
    load=lambda: fusemix.load(folder + "/run", device="cpu").encode(texts="a red bar"),
    index=lambda: fusemix.index(model=folder + "/run", latents=latents, out=folder + "/index", compute="cpu"),
)
for name, call in calls.items():
    before, of_before = states(), loggers()
    call()
    after, of_after = states(), loggers()
    for what in before:
        if before[what] != after[what]:
            print("changed by", name, ":", what)
    for logger in of_before:
        if of_before[logger] != of_after[logger]:
            print("changed by", name, ": logger", logger)
"""


def test_what_a_callers_process_had_is_as_it_was_after_each_call(made, tiny, tmp_path):
    """In a process of its own, in which each call imports what it needs."""
    paths = [str(Path(__file__).parent), str(Path(fusemix.__file__).parents[1])]
    words = [made.sets[0].folder, tiny.files["image"][0].parent, tmp_path, made.settings]
    command = [sys.executable, "-c", SCRIPT.format(paths=paths), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith("changed by")] == []
