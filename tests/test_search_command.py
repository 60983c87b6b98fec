"""`fusemix search` and the searcher behind it, by real code on tiny real models."""

import json
import shutil

import numpy as np
import pytest
from index_samples import asked, make
from PIL import Image

import fusemix
from fusemix.cli.called import run_command
from fusemix.errors import ConfigError, FusemixError, QueryError
from fusemix.models.queries import Query, summed
from fusemix.wiring.searching.searcher import Searcher


@pytest.fixture(scope="module")
def model(tiny) -> fusemix.Model:
    return fusemix.load(tiny.run, device="cpu")


@pytest.fixture(scope="module")
def searcher(picture_index) -> Searcher:
    return Searcher(picture_index, device="cpu")


# Searching


def test_hits_are_in_order_of_their_cosine_with_the_query(tiny, model, searcher):
    (hits,) = searcher.search(asked(searcher, [Query("text", "one blue circle")]), 36)
    wanted = model.similarity(model.encode(texts="one blue circle"), model.encode(images=tiny.files["image"]))[0]
    np.testing.assert_allclose([hit.score for hit in hits], np.sort(wanted)[::-1], atol=1e-3)
    assert sorted(hit.position for hit in hits) == list(range(36))
    assert all(abs(wanted[hit.position] - hit.score) < 1e-3 for hit in hits)


def test_a_picture_finds_itself_and_more_like_an_item_finds_the_item(tiny, searcher):
    path = tiny.files["image"][11]
    queries = [Query("image", path), Query("image", path.read_bytes()), Query("like", "pictures/11.png")]
    for hits in searcher.search(asked(searcher, queries), 3):
        assert hits[0].id == "pictures/11.png"
        assert hits[0].score == pytest.approx(1, abs=1e-3)


def test_an_embedding_of_ones_own_is_a_query(model, searcher):
    vector = model.encode(texts="one blue circle")
    own, text = searcher.embed([Query("embedding", (3 * vector).tolist()), Query("text", "one blue circle")])
    np.testing.assert_allclose(own, text, atol=1e-5)


def test_several_queries_are_added_up(searcher):
    vectors = searcher.embed([Query("text", "a red bar"), Query("like", "pictures/03.png")])
    total = summed(vectors)
    np.testing.assert_allclose(total, vectors.sum(axis=0) / np.linalg.norm(vectors.sum(axis=0)), atol=1e-6)
    with pytest.raises(QueryError, match="the queries cancel out"):
        summed(np.stack([vectors[0], -vectors[0]]))


def test_queries_of_a_sum_have_weights(searcher):
    vectors = searcher.embed([Query("text", "a red bar"), Query("like", "pictures/03.png")])
    total = 2 * vectors[0] - 0.5 * vectors[1]
    np.testing.assert_allclose(summed(vectors, factors=[2.0, -0.5]), total / np.linalg.norm(total), atol=1e-6)
    np.testing.assert_allclose(summed(vectors[:1], factors=[1e-4]), vectors[0], atol=1e-6)
    added = searcher.weights([Query("text", "a red bar")])
    (far,) = searcher.search(summed(vectors[:1], added, [-3.0])[None], 36)
    (near,) = searcher.search(summed(vectors[:1], added)[None], 36)
    assert sorted(hit.score for hit in far) == pytest.approx(sorted(-hit.score for hit in near), abs=1e-6)
    for wrong in (0.0, 101.0, float("nan"), float("inf")):
        with pytest.raises(
            QueryError, match=r"has the weight .*, but must have a number from -100 to 100, other than 0"
        ):
            summed(vectors, factors=[1.0, wrong])
    with pytest.raises(QueryError, match="the queries cancel out"):
        summed(np.stack([vectors[0], vectors[0]]), factors=[0.01, -0.01])


def test_items_are_shown_as_they_are(tiny, searcher):
    found = searcher.content(11)
    assert (np.asarray(found) == np.asarray(Image.open(tiny.files["image"][11]))).all()


def test_an_item_whose_file_is_gone_is_still_found(tiny, tmp_path):
    folder = tmp_path / "photos"
    shutil.copytree(tiny.files["image"][0].parent, folder)
    moved = Searcher(make(tiny, tmp_path / "out", folder), device="cpu")
    shutil.rmtree(folder)
    (hits,) = moved.search(asked(moved, [Query("text", "a red bar")]), 2)
    assert [moved.content(hit.position) for hit in hits] == [None, None]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (Query("text", " "), "the text is empty"),
        (Query("image", b"GIF89a"), r"\(decode\)"),
        (Query("image", "/nowhere/a.png"), "No such file"),
        (Query("like", "pictures/99.png"), "no item of the index has the id 'pictures/99.png'"),
        (Query("embedding", [0.0] * 16), "an embedding must be 16 finite numbers"),
        (Query("embedding", [1.0] * 15), "an embedding must be 16 finite numbers"),
        (Query("embedding", [float("nan")] * 16), "an embedding must be 16 finite numbers"),
        (Query("video", "x"), "knows nothing of 'video'"),
    ],
)
def test_queries_that_cannot_be_asked_are_named(searcher, query, message):
    with pytest.raises(FusemixError, match=message):
        searcher.embed([query])


# The command


def test_the_command_prints_a_table(tiny, picture_index, capsys):
    hits = run_command(
        "search", ["one blue circle", "--index", str(picture_index), "--k", "3", "--compute.accelerator", "cpu"]
    )
    said = capsys.readouterr().out
    assert len(hits) == 3
    for hit in hits:
        assert hit.id in said
        assert f"{hit.score:.3f}" in said
    assert "text: one blue circle" in said
    assert "36 items; query embedded in" in said


def test_the_command_prints_json_and_nothing_else(tiny, picture_index, capsys):
    command = ["a red bar", "--image", str(tiny.files["image"][4]), "--audio", str(tiny.files["audio"][2])]
    hits = run_command(
        "search",
        [
            *command,
            "--like",
            "pictures/07.png",
            "--index",
            str(picture_index),
            "--json",
            "--compute.accelerator",
            "cpu",
        ],
    )
    said = json.loads(capsys.readouterr().out)
    assert [result["id"] for result in said["results"]] == [hit.id for hit in hits]
    assert len(said["results"]) == 10
    assert said["results"][0].keys() == {"position", "score", "id", "modality", "path", "captions", "within"}
    assert said["took_ms"].keys() == {"encode", "search"}


def test_a_text_of_quoted_terms_is_a_sum_and_other_texts_are_words(picture_index, searcher, capsys):
    options = ["--index", str(picture_index), "--compute.accelerator", "cpu"]
    hits = run_command("search", ['2*"one blue circle" - "a red bar"', *options, "-k", "36"])
    assert "2*text: one blue circle - text: a red bar" in capsys.readouterr().out
    circle, bar = searcher.embed([Query("text", "one blue circle"), Query("text", "a red bar")])
    total = 2 * circle - bar
    wanted = searcher.index.vectors([hit.position for hit in hits]) @ total / np.linalg.norm(total)
    assert [hit.score for hit in hits] == pytest.approx(wanted, abs=1e-3)
    words = run_command("search", ["circle - bar", *options])
    assert "text: circle - bar" in capsys.readouterr().out
    assert words[0].score == searcher.search(asked(searcher, [Query("text", "circle - bar")]), 1)[0][0].score
    with pytest.raises(QueryError, match="a query has the weight 0, but"):
        run_command("search", ['0*"a dog"', *options])


def test_near_duplicates_are_listed_as_one_and_by_themselves(tiny, tmp_path, capsys):
    folder = tmp_path / "photos"
    shutil.copytree(tiny.files["image"][0].parent, folder)
    for name in ("once.png", "twice.png"):
        shutil.copy(tiny.files["image"][4], folder / name)
    index = str(make(tiny, tmp_path / "out", folder))
    capsys.readouterr()
    command = ["--image", str(tiny.files["image"][4]), "--index", index, "--compute.accelerator", "cpu"]
    plain = run_command("search", [*command, "-k", "3"])
    assert {hit.id.split("/")[-1] for hit in plain} == {"04.png", "once.png", "twice.png"}
    assert "almost the same" not in capsys.readouterr().out
    hits = run_command("search", [*command, "-k", "3", "--group-duplicates", "--json"])
    results = json.loads(capsys.readouterr().out)["results"]
    assert [one["id"] for one in results] == [hit.id for hit in hits]
    same = {hits[0].id, *(one["id"] for one in results[0]["duplicates"])}
    assert same >= {hit.id for hit in plain}
    assert len(hits) == 3
    run_command("search", [*command, "--group-duplicates"])
    assert f"and {len(same) - 1} almost the same" in capsys.readouterr().out
    groups = run_command("duplicates", [index, "--threshold", "0.9999", "--json"])
    assert json.loads(capsys.readouterr().out) == {
        "threshold": 0.9999, "groups": [{"size": len(ids), "ids": ids} for ids in groups]
    }  # fmt: skip
    assert {hit.id for hit in plain} <= set(groups[0])
    run_command("duplicates", [index, "--threshold", "0.9999"])
    said = capsys.readouterr().out
    assert all(one in said for one in groups[0])
    assert f"{len(groups)} groups among 39 items" in said.replace("\n", " ") or len(groups) == 1


@pytest.mark.parametrize("typed", [[], ["a", "b"]])
def test_duplicates_are_looked_for_in_one_index(typed):
    with pytest.raises(
        ConfigError, match="duplicates needs the folder of one index: fusemix duplicates indexes/photos"
    ):
        run_command("duplicates", typed)


def test_an_index_made_with_a_run_is_searched_with_its_export(tiny, picture_index, searcher, tmp_path):
    run_command("export", ["--model", str(tiny.run), "--out", str(tmp_path / "exported")])
    exported = Searcher(picture_index, model=tmp_path / "exported", device="cpu")
    query = [Query("text", "one blue circle")]
    assert exported.search(asked(exported, query), 5) == searcher.search(asked(searcher, query), 5)
