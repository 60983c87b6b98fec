"""What an index is filtered by comes from files and caption files, and every way of asking has it."""

import json

import pytest
from index_samples import make
from photo_samples import described, taken_photos

import fusemix
from fusemix.cli.called import run_command
from fusemix.datasets.captioned_files import image_captions
from fusemix.errors import QueryError
from fusemix.latents.item_tables import items_sha256, read_table
from fusemix.search.folder import Index
from fusemix.wiring.searching.known import fitting, own_columns


@pytest.fixture(scope="module")
def photographed(tiny, tmp_path_factory):
    """An index of a folder of photographs, and what was written into them."""
    folder = tmp_path_factory.mktemp("photographed")
    told = taken_photos(folder / "photos", tiny.files["image"][:24])
    return make(tiny, folder / "index", folder / "photos"), told


@pytest.fixture(scope="module")
def captioned(tiny, tmp_path_factory):
    """An index of a latent set whose caption file has columns of its own, its latents, and the lines of that file."""
    folder = tmp_path_factory.mktemp("captioned")
    told, lines = described(folder / "photos", tiny.files["image"][:24])
    where = f"folder: '{folder / 'photos'}', captions: '{folder / 'photos' / 'captions.jsonl'}'"
    encoders = [f"encoders.{name}={tiny.recipes[name]}" for name in ("hog", "vit", "bert")]
    common = ["splits=[all]", "compute.accelerator=cpu", "num_workers=0", f"out={folder / 'latents'}"]
    run_command("cache_features", [f"dataset={{name: image_captions, options: {{{where}}}}}", *encoders, *common])
    make(tiny, folder / "index", folder / "latents" / "all")
    return make(tiny, folder / "index", folder / "latents" / "all", "--modality", "text"), told, lines


def test_folders_dates_and_cameras_are_those_of_the_files(photographed):
    out, told = photographed
    index = Index(out)
    for year in (2020, 2023):
        assert index.count(index.condition({"taken": year})) == sum(taken == year for _, taken, _ in told)
        assert index.count(index.condition({"folder": year})) == sum(name.startswith(str(year)) for name, _, _ in told)
    for camera in {camera for _, _, camera in told} - {None}:
        assert index.count(index.condition({"camera": camera})) == sum(one == camera for _, _, one in told)
    assert [facet.name for facet in index.facets()] == ["folder", "taken", "camera"]


def test_the_command_line_and_python_find_what_passes_alone(photographed, capsys):
    out, told = photographed
    wanted = {f"photos/{name}" for name, taken, camera in told if taken in (2021, 2022) and camera == "FUJIFILM X100"}
    assert wanted
    asked = ["search", ["a red bar", "--index", str(out), "-k", "100", "--filter", "taken=2021..2022"]]
    asked[1] += ["--filter", "camera=FUJIFILM X100"]
    assert {hit.id for hit in run_command(*asked)} == wanted
    assert f"{len(wanted)} of 24 items" in capsys.readouterr().out
    run_command(asked[0], [*asked[1], "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said["num_items"] == len(said["results"]) == len(wanted)
    opened = fusemix.SearchIndex(out, device="cpu")
    given = {"taken": {"from": 2021, "to": "2022-12-31"}, "camera": ["FUJIFILM X100"]}
    assert {hit.id for hit in opened.search("a red bar", k=100, filter=given)} == wanted
    best = opened.search("a red bar", k=100)
    assert [hit.id for hit in best if hit.id in wanted] == [hit.id for hit in opened.search("a red bar", filter=given)]
    assert opened.search("a red bar", filter={"camera": "nobody's"}) == []


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("camra=X100", r"no column 'camra' to filter by\. Did you mean 'camera'"),
        ("taken=someday", "'someday', which is no date"),
        ("X100", r"the filter 'X100' is none\. Write NAME=VALUE"),
    ],
)
def test_a_filter_that_cannot_be_is_refused_before_anything_is_embedded(photographed, word, message):
    with pytest.raises(QueryError, match=message):
        run_command("search", ["a red bar", "--index", str(photographed[0]), "--filter", word])


def test_columns_of_the_caption_file_are_filtered_by(captioned):
    out, told, lines = captioned
    index = Index(out)
    for given, passes in [
        ({"author": "Ada"}, lambda line: line["author"] == "Ada"),
        ({"stars": {"min": 3}}, lambda line: line["stars"] >= 3),
        ({"is_sharp": True}, lambda line: line["is sharp"]),
    ]:
        assert index.count(index.condition(given)) == sum(map(passes, lines))
    assert index.count(index.condition({"camera": "FUJIFILM X100"})) == sum("FUJI" in (one or "") for _, _, one in told)
    assert index.counts == {"image": 24, "text": 24}


def test_what_a_caption_file_says_more_makes_no_other_set(captioned, tmp_path):
    """The hash of its items is that of a file that says less, so that latents are not made again."""
    latents = captioned[0].parent / "latents" / "all"
    assert "own" in read_table(latents / "items-image.parquet").column_names
    bare = captioned[0].parent / "photos" / "captions.jsonl"
    lines = [json.loads(line) for line in bare.read_text().splitlines()]
    (tmp_path / "bare.jsonl").write_text(
        "\n".join(json.dumps({name: line[name] for name in ("file", "caption")}) for line in lines)
    )
    pairs = image_captions(split="all", folder=str(bare.parent), captions=str(tmp_path / "bare.jsonl"))
    assert items_sha256(pairs.left.table) == json.loads((latents / "set.json").read_text())["left"]["sha256"]


def test_a_text_asks_for_no_texts_unless_it_says_so(captioned):
    opened = fusemix.SearchIndex(captioned[0], device="cpu")
    picture = opened.search("shape 3", k=1)[0]
    assert {hit.modality for hit in opened.search("shape 3", k=48)} == {"image"}
    assert {hit.modality for hit in opened.search("shape 3", like=picture.id, k=48)} == {"image"}
    assert {hit.modality for hit in opened.search("shape 3", k=48, modality="any")} == {"image", "text"}
    assert {hit.modality for hit in opened.search("shape 3", k=48, modality="text")} == {"text"}
    assert {hit.modality for hit in opened.search(like=picture.id, k=48)} == {"image", "text"}
    assert opened.search("shape 3", k=9) == opened.search("shape 3", k=9, modality="image"), "scores, too"
    with pytest.raises(QueryError, match=r"holds no anny items, but image and text\. Did you mean 'any'"):
        opened.search("shape 3", modality="anny")


# Columns


def test_columns_are_texts_numbers_or_truths_by_all_that_they_hold():
    rows = [
        '{"a": "1", "b": "x", "c": "TRUE", "d": 1, "e": "007"}',
        None,
        '{"a": "-2.5e1", "b": 3, "c": false, "d": true}',
    ]
    found = own_columns(rows).to_pydict()
    assert found == {
        "a": [1.0, None, -25.0],
        "b": ["x", None, "3"],
        "c": [True, None, False],
        "d": ["1", None, "true"],
        "e": ["007", None, None],
    }
    large = own_columns(['{"n": 9007199254740993}']).to_pydict()
    assert large == {"n": ["9007199254740993"]}, "a float64 would be another number"


def test_names_that_the_index_has_are_kept_under_others():
    rows = ['{"camera": "a", "id": "b", "vector": "c", "own_id": "d", "two words": "e", "two.words": "f", "!": "g"}']
    assert own_columns(rows).to_pydict() == {
        "own_camera": ["a"],
        "own_id": ["b"],
        "own_vector": ["c"],
        "own_own_id": ["d"],
        "two_words": ["e"],
        "own_two_words": ["f"],
        "own__": ["g"],
    }
    there = own_columns(['{"stars": 3, "author": "x"}']).schema
    assert fitting(own_columns(['{"stars": "many", "author": "y"}']), there).column_names == ["stars_text", "author"]


# Names


def test_a_number_finds_what_is_called_so_and_words_alone_find_what_they_did(tiny, tmp_path):
    (tmp_path / "photos").mkdir()
    for number, path in enumerate(tiny.files["image"]):
        (tmp_path / "photos" / f"IMG_{number + 1200}.png").write_bytes(path.read_bytes())
    opened = fusemix.SearchIndex(make(tiny, tmp_path / "index", tmp_path / "photos"), device="cpu")
    for text in ("IMG_1234", "img1234", "1234", "the red bar in 1234"):
        assert opened.search(text, k=1)[0].id == "photos/IMG_1234.png"
    (cosine,) = [hit.score for hit in opened.search("a red bar", k=36) if hit.id == "photos/IMG_1234.png"]
    summed = opened.search(["a red bar"], k=36)
    assert [hit.score for hit in summed] == sorted((hit.score for hit in summed), reverse=True), "no number, no change"
    assert -1 <= cosine <= 1
    every = opened.search("img 1234", k=36)
    assert sorted(hit.id for hit in every) == sorted(hit.id for hit in summed)
    assert opened.search("1234", k=3) == opened.search("1234", k=36)[:3], "whatever is asked for beside"
