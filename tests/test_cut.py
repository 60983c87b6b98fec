"""The cut in the hubs of a run, and in what searches answer: a line, and `nothing fits`."""

import json

import numpy as np
import pytest
import torch
from cut_samples import WORDS, with_cuts
from hub_samples import LEVELS
from safetensors.torch import save_file

import fusemix
from fusemix.cli.called import run_command
from fusemix.errors import RunError
from fusemix.fusion.checkpoints import HUBS
from fusemix.models.hubs import Cut, Hubs, read_hubs, write_hubs
from fusemix.models.queries import Query
from fusemix.models.trained import open_trained
from fusemix.wiring.searching.fitting import num_above
from fusemix.wiring.searching.searcher import Hit, Searcher


@pytest.fixture(scope="module")
def world(tiny, tmp_path_factory):
    return with_cuts(tiny, tmp_path_factory.mktemp("cut"))


@pytest.fixture(scope="module")
def searched(world):
    return Searcher(world / "index", world / "run", device="cpu")


def cuts(searcher, *queries, modality=None):
    return searcher.cuts(queries, searcher.scope(queries, modality))


def test_a_run_keeps_a_cut_of_each_direction_that_validation_knows_enough_of(evaluation_world):
    hubs = open_trained(evaluation_world.run).hubs
    assert {"image_to_text", "text_to_image"} <= set(hubs.cuts) <= set(hubs.strengths)
    assert all(-2 < score < 2 for cut in hubs.cuts.values() for score in cut)


def test_a_file_of_an_earlier_version_has_none(tmp_path):
    about = {"format": "fusemix.hubs", "version": 1, "model": "a", "strengths": {}, "levels": {}}
    save_file({"image": torch.zeros(3, 8).half()}, tmp_path / HUBS, {"fusemix": json.dumps(about)})
    assert read_hubs(tmp_path / HUBS, "a", 8).cuts == {}


@pytest.mark.parametrize("score", [float("nan"), float("inf"), 100.0])
def test_an_impossible_cut_is_damage(tmp_path, score):
    write_hubs(tmp_path / HUBS, Hubs({}, {}, {}, {"text_to_image": Cut(0.1, score)}), "a")
    with pytest.raises(RunError, match="is damaged"):
        read_hubs(tmp_path / HUBS, "a", 8)


def test_the_cut_is_on_the_scale_of_the_scores(world, searched):
    known = searched.embedder.trained.hubs.cuts["text_to_image"]
    assert cuts(searched, Query("text", WORDS)) == {"image": known.corrected}
    mixed = cuts(searched, Query("text", WORDS), modality="any")
    assert mixed == {"image": pytest.approx(known.corrected - LEVELS["text_to_image"])}
    plain = Searcher(world / "index", world / "run", device="cpu", hub_correction=False)
    assert cuts(plain, Query("text", WORDS)) == {"image": known.plain}


def test_no_line_is_drawn_among_items_of_which_some_have_no_cut(searched):
    query = Query("text", WORDS)
    vector = np.concatenate([searched.embed([query]), searched.weights([query])], axis=1)
    (hits,) = searched.search(vector, 84, searched.scope([query], "any"))
    assert {hit.modality for hit in hits} == {"image", "text"}
    assert num_above(hits, cuts(searched, query, modality="any")) == len(hits)


def test_both_scales_draw_the_line_below_the_same_pictures(searched):
    def above(modality):
        scope = searched.scope([query], modality)
        vector = np.concatenate([searched.embed([query]), searched.weights([query])], axis=1)
        (hits,) = searched.search(vector, 84, scope)
        found = [hit for hit in hits if hit.modality == "image"]
        return [hit.id for hit in found[: num_above(found, cuts(searched, query, modality=modality))]]

    query = Query("text", WORDS)
    assert len(above("image")) == 5 and above("any") == above("image")


def test_no_cut_is_told_for_what_validation_did_not_ask(tiny, world, searched):
    assert cuts(searched, Query("text", WORDS), Query("text", "a circle")) == {}
    assert cuts(searched, Query("text", WORDS, weight=-1.0)) == {}
    assert cuts(searched, Query("text", "picture 00017.jpg")) == {}
    assert cuts(searched, Query("embedding", np.ones(searched.index.dim))) == {}
    assert cuts(searched, Query("image", tiny.files["image"][0]), modality="image") == {}
    assert cuts(Searcher(world / "index", world / "plain", device="cpu"), Query("text", WORDS)) == {}


def test_an_item_asks_as_its_modality_does(searched):
    query = Query("text", WORDS)
    vector = np.concatenate([searched.embed([query]), searched.weights([query])], axis=1)
    (hit,) = searched.search(vector, 1, searched.scope([query]))[0]
    assert cuts(searched, Query("like", hit.id), modality="text") == {"text": 2.0}


@pytest.mark.parametrize(
    ("scores", "line"), [([0.5, 0.4, 0.1], 2), ([0.5, 0.1, 0.4], 3), ([0.1], 0), ([0.3], 1), ([], 0)]
)
def test_the_line_is_below_the_last_that_fits(scores, line):
    hits = [Hit(0, score, "", "image", None, []) for score in scores]
    assert num_above(hits, {"image": 0.3}) == line
    assert num_above(hits, {"text": 9.0}) == len(scores)
    sound = Hit(0, 0.0, "", "audio", None, [])
    assert num_above([sound, *hits], {"image": 0.3}) == len(hits) + 1


def test_python_and_the_command_line_tell_it(world, capsys):
    index = fusemix.SearchIndex(world / "index", model=world / "run", device="cpu")
    hits = index.search(WORDS, k=8)
    assert hits.fitting == hits[:5] and set(hits.cuts) == {"image"}
    rows = repr(hits).splitlines()
    line = next(number for number, row in enumerate(rows) if "below: more likely wrong than right" in row)
    assert sum(hit.id in "".join(rows[:line]) for hit in hits) == 5
    assert "below: more likely wrong than right" in hits._repr_html_()
    assert "below" not in repr(index.search(WORDS, k=5))
    how = ["--index", str(world / "index"), "--model", str(world / "run"), "--compute.accelerator", "cpu"]
    run_command("search", [WORDS, *how, "-k", "8", "--json"])
    assert json.loads(capsys.readouterr().out)["cuts"] == {"image": pytest.approx(hits.cuts["image"], abs=1e-6)}
