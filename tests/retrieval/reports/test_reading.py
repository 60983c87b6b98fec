import json
from pathlib import Path

import pytest
from report_samples import DIRECTIONS, IMAGE_IDS, drawn_ranks, query_rows, report_content, sample_report, write_report

from fusemix.errors import ConfigError, RunError
from fusemix.reports.reading import FORMAT, VERSION, common_ks, read_queries, read_report, read_reports, run_names


def rewrite(folder: Path, **changes: object) -> Path:
    file = folder / "report.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    return folder


def test_a_report_is_read_from_its_folder_and_from_its_file(tmp_path):
    folder = sample_report(tmp_path / "a")
    report, same = read_report(folder), read_report(folder / "report.json")
    assert report == same
    assert report.folder == folder
    assert report.directions == DIRECTIONS
    assert report.ks == [1, 5, 10]
    recall = report.data["metrics"]["image_to_text/recall_at_5"]
    assert report.figure("image_to_text", "recall_at_5") == recall
    assert report.interval("image_to_text", "recall_at_5") == (max(0.0, recall - 0.08), min(1.0, recall + 0.08))
    assert report.figure("image_to_text", "ndcg_at_10") is report.interval("image_to_text", "mrr") is None


def test_queries_give_ranks_and_the_left_items_that_they_belong_to(tmp_path):
    ranks = drawn_ranks(3)
    queries = read_queries(read_report(sample_report(tmp_path / "a", seed=3)))
    for direction in DIRECTIONS:
        assert queries[direction].ranks.tolist() == ranks[direction].tolist()
    assert queries["image_to_text"].left_items == queries["image_to_text"].ids == IMAGE_IDS
    assert queries["text_to_image"].ids[5:7] == ["001.jpg#0", "001.jpg#1"]
    assert queries["text_to_image"].left_items[5:7] == ["001.jpg", "001.jpg"]


def test_an_id_may_hold_a_line_separator_of_unicode(tmp_path):
    folder = sample_report(tmp_path / "a")
    rows = query_rows(drawn_ranks(0))
    rows[0]["query"] = "a\u2028b"
    (folder / "queries.jsonl").write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n\n")
    assert read_queries(read_report(folder))["image_to_text"].ids[0] == "a\u2028b"


def test_nothing_there_says_where_reports_are(tmp_path):
    sample_report(tmp_path / "all" / "a")
    with pytest.raises(RunError, match=r"there is no .*nowhere\. Name a folder that eval_retrieval.py wrote\."):
        read_report(tmp_path / "nowhere")
    with pytest.raises(RunError, match=r"there is no .*all/report.json\. Reports in it: a\."):
        read_report(tmp_path / "all")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"report.json is not JSON \(.*\)\. Measure again: python eval_retrieval.py"),
        ("[]", f"no report of retrieval: it does not say what it is, and a report is a {FORMAT}"),
        ('{"format": "other.thing"}', f"it says that it is a other.thing, and a report is a {FORMAT}"),
    ],
)
def test_what_is_no_report_is_refused(tmp_path, text, message):
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(RunError, match=message):
        read_report(tmp_path)


def test_a_report_of_another_version_is_refused_with_both_versions(tmp_path):
    folder = sample_report(tmp_path / "a", version=VERSION + 1)
    with pytest.raises(
        RunError,
        match=rf"is of version {VERSION + 1}, and this fusemix reads version {VERSION}\. Measure again: python eval_",
    ):
        read_report(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrics": None}, "is damaged: it has no 'metrics'"),
        ({"protocol": {}}, "is damaged: 'protocol' has no 'name'"),
        ({"counts": {"image_to_text": {}}}, "'counts' holds 1 directions, not two"),
        ({"counts": {d: {"queries": 3} for d in DIRECTIONS}}, "'counts' of image_to_text lacks 'queries' or 'gallery'"),
        ({"metrics": {"image_to_text/recall_at_1": 0.5}}, "'metrics' has no recall of text_to_image"),
    ],
)
def test_a_damaged_report_is_refused_with_what_it_lacks(tmp_path, changes, message):
    with pytest.raises(RunError, match=message):
        read_report(rewrite(sample_report(tmp_path / "a"), **changes))


def test_queries_that_cannot_be_read_are_refused_with_the_line(tmp_path):
    report = read_report(sample_report(tmp_path / "a"))
    file = report.folder / "queries.jsonl"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:3], lines[3][:-9] + "}", *lines[4:]]))
    with pytest.raises(RunError, match=r"queries.jsonl, line 4, is not what fusemix writes \(.*\)\. Measure again"):
        read_queries(report)
    file.write_text(json.dumps({"direction": "image_to_text", "query": "a", "rank": 1}) + "\n")
    with pytest.raises(RunError, match=r"line 1, is not what fusemix writes \(no such entry as 'left_item'\)"):
        read_queries(report)
    file.unlink()
    with pytest.raises(RunError, match=r"there is no .*queries.jsonl, whose ranks a comparison is computed from"):
        read_queries(report)


def test_queries_of_another_evaluation_than_the_report_are_refused(tmp_path):
    ranks = drawn_ranks(1)
    report = read_report(write_report(tmp_path / "a", report_content(drawn_ranks(0)), ranks))
    with pytest.raises(
        RunError, match=r"queries.jsonl and report.json are not of one evaluation: image_to_text/recall_"
    ):
        read_queries(report)
    in_folds = {"protocol": {"name": "five_folds", "folds": 5}}
    queries = read_queries(read_report(write_report(tmp_path / "b", report_content(drawn_ranks(0)) | in_folds, ranks)))
    assert queries["image_to_text"].ranks.tolist() == ranks["image_to_text"].tolist(), "means over folds may differ"


def test_reports_that_cannot_stand_in_one_table_are_refused(tmp_path):
    a, b = (str(sample_report(tmp_path / name)) for name in "ab")
    with pytest.raises(ConfigError, match=r"a/report.json is given twice\. Name each report once\."):
        read_reports([a, b, f"{a}/report.json"])
    content = json.loads((tmp_path / "a" / "report.json").read_text())
    sounds = json.loads(json.dumps(content).replace("image", "audio"))
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "report.json").write_text(json.dumps(sounds))
    with pytest.raises(
        ConfigError, match=r"c measured audio_to_text and text_to_audio, and .*a image_to_text and text_"
    ):
        read_reports([a, str(tmp_path / "c")])
    ranks = drawn_ranks(0)
    other_ks = write_report(tmp_path / "d", report_content(ranks, ks=(2, 3)), ranks)
    with pytest.raises(ConfigError, match="no depth of recall in common. Measure again with the same ks"):
        read_reports([a, str(other_ks)])


def test_depths_are_those_that_all_reports_have(tmp_path):
    ranks = drawn_ranks(0)
    folders = [write_report(tmp_path / str(ks), report_content(ranks, ks=ks), ranks) for ks in [(1, 5, 20), (20, 1)]]
    assert common_ks([read_report(folder) for folder in folders]) == [1, 20]


def test_a_run_is_named_by_the_shortest_end_of_its_path_that_tells_it_apart(tmp_path):
    reports = [read_report(sample_report(tmp_path / path)) for path in ("x/a", "x/b")]
    assert run_names(reports) == ["a", "b"]
    assert run_names([*reports, read_report(sample_report(tmp_path / "y/a"))]) == ["x/a", "x/b", "y/a"]


@pytest.mark.parametrize(
    "changes",
    [
        {"others": 5},
        {"others": [{}]},
        {"others": [{"name": "a", "kind": "baseline", "metrics": {"x": None}}]},
        {"intervals": []},
        {"intervals": {"image_to_text/recall_at_1": 5}},
        {"intervals": {"image_to_text/recall_at_1": [None, 1]}},
        {"data": {"name": 5}},
        {"protocol": {"name": "plain", "about": 5}},
        {"protocol": {"name": "plain", "folds": "many"}},
    ],
)
def test_what_stands_beside_the_figures_in_another_shape_is_damage(changes, tmp_path):
    with pytest.raises(RunError, match=r"report\.json is damaged: '?(others|intervals|data|protocol)"):
        read_report(sample_report(tmp_path / "report", **changes))
