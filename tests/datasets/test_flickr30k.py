"""Flickr30K in its three forms, which must give the same pairs."""

import pytest
from dataset_samples import (
    captions_of,
    contents_of,
    encoded_column,
    excluded_of,
    picture,
    write_files,
    write_karpathy,
    write_lmms_flickr30k,
    write_parquet,
    write_retrieval,
)

from fusemix.datasets.flickr30k import flickr30k
from fusemix.errors import DatasetError

ENTRIES = [
    ("10.jpg", "test", ["A dog runs .", "A brown dog ."]),
    ("11.jpg", "train", ["Two men .", "Men at work ."]),
    ("12.jpg", "val", ["A red bus .", "A bus stop ."]),
    ("13.jpg", "test", ["A child laughs .", "A dog runs ."]),
    ("14.jpg", "train", ["A street ."]),
]
TEST = {"10.jpg": ["A dog runs .", "A brown dog ."], "13.jpg": ["A child laughs .", "A dog runs ."]}


def sorted_captions(pairs):
    return {item: sorted(captions) for item, captions in captions_of(pairs).items()}


SORTED_TEST = {item: sorted(captions) for item, captions in TEST.items()}


@pytest.fixture
def annotations(tmp_path):
    return write_karpathy(tmp_path / "dataset_flickr30k.json", ENTRIES)


@pytest.fixture
def images(tmp_path):
    return write_files(tmp_path / "flickr30k-images", [entry[0] for entry in ENTRIES])


@pytest.fixture
def lmms(tmp_path):
    """Rows in another order than the annotations."""
    rows = [(file, picture(row), captions) for row, (file, _, captions) in enumerate(ENTRIES)]
    return write_lmms_flickr30k(tmp_path / "lmms", rows[::-1])


@pytest.fixture
def mteb(tmp_path):
    """Only the test split; one judgement says that a caption does not fit."""
    media = {"10.jpg": picture(0), "13.jpg": picture(3)}
    queries = {"q0": "A dog runs .", "q1": "A brown dog .", "q2": "A child laughs .", "q3": "A dog runs ."}
    judgements = [
        ("q0", "10.jpg", 1),
        ("q1", "10.jpg", 1),
        ("q2", "13.jpg", 1),
        ("q3", "13.jpg", 1),
        ("q1", "13.jpg", 0),
    ]
    return write_retrieval(tmp_path / "mteb", "image", media, queries, judgements)


def test_photographs_and_karpathys_file_give_the_split_s_pairs(images, annotations):
    pairs = flickr30k(split="test", images=images, annotations=annotations, check_counts=False)
    assert captions_of(pairs) == {"10.jpg": TEST["10.jpg"], "13.jpg": ["A dog runs .", "A child laughs ."]}
    assert contents_of(pairs.left) == {"10.jpg": picture(0), "13.jpg": picture(3)}


def test_a_parquet_copy_and_karpathys_file_give_the_same_pairs(lmms, annotations):
    pairs = flickr30k(split="test", parquet=lmms, annotations=annotations, check_counts=False)
    assert sorted_captions(pairs) == SORTED_TEST
    assert contents_of(pairs.left) == {"10.jpg": picture(0), "13.jpg": picture(3)}


def test_a_copy_in_mteb_s_layout_gives_the_same_pairs(mteb):
    pairs = flickr30k(split="test", parquet=mteb, check_counts=False)
    assert sorted_captions(pairs) == SORTED_TEST
    assert contents_of(pairs.left) == {"10.jpg": picture(0), "13.jpg": picture(3)}


@pytest.mark.parametrize(
    ("split", "files"), [("train", {"11.jpg", "14.jpg"}), ("validation", {"12.jpg"}), ("test", {"10.jpg", "13.jpg"})]
)
@pytest.mark.parametrize("form", ["images", "parquet"])
def test_each_split_has_the_files_that_karpathy_gave_it(form, split, files, images, lmms, annotations):
    source = {"images": images} if form == "images" else {"parquet": lmms}
    pairs = flickr30k(split=split, annotations=annotations, check_counts=False, **source)
    assert set(pairs.left.table["id"].to_pylist()) == files
    assert pairs.split == split


def test_the_caption_configuration_may_be_called_queries(tmp_path):
    copy = write_retrieval(
        tmp_path / "copy", "image", {"1": picture(1)}, {"7": "A dog ."}, [("7", "1", 1)], query_config="queries"
    )
    assert captions_of(flickr30k(split="test", parquet=copy, check_counts=False)) == {"1": ["A dog ."]}


def test_numbers_as_ids_are_joined_like_words(tmp_path):
    copy = write_retrieval(tmp_path / "copy", "image", {5: picture(1)}, {7: "A dog ."}, [("7", "5", 1.0)])
    assert captions_of(flickr30k(split="test", parquet=copy, check_counts=False)) == {"5": ["A dog ."]}


def test_what_judgements_name_and_the_copy_lacks_is_listed(tmp_path):
    media = {"a": picture(1), "b": picture(2)}
    judgements = [("q0", "a", 1), ("q1", "gone", 1), ("lost", "b", 1), ("q1", "nowhere", 0)]
    copy = write_retrieval(tmp_path / "copy", "image", media, {"q0": "one", "q1": "two"}, judgements)
    pairs = flickr30k(split="test", parquet=copy, check_counts=False)
    assert captions_of(pairs) == {"a": ["one"]}
    assert excluded_of(pairs) == [
        ("gone", f"no such row in corpus of {copy}"),
        ("lost", f"no such row in query of {copy}"),
        ("b", "no caption"),
    ]


def test_an_absent_photograph_is_listed(images, annotations, tmp_path):
    (tmp_path / "flickr30k-images" / "10.jpg").unlink()
    pairs = flickr30k(split="test", images=images, annotations=annotations, check_counts=False)
    assert list(captions_of(pairs)) == ["13.jpg"]
    assert [name for name, _ in excluded_of(pairs)] == ["10.jpg"]


def test_a_picture_that_the_parquet_copy_lacks_is_listed(annotations, tmp_path):
    copy = write_lmms_flickr30k(tmp_path / "part", [("13.jpg", picture(3), ["A child laughs ."])])
    pairs = flickr30k(split="test", parquet=copy, annotations=annotations, check_counts=False)
    assert list(captions_of(pairs)) == ["13.jpg"]
    assert excluded_of(pairs) == [("10.jpg", f"no such row in {copy}")]


PUBLISHED = {"train": "29,000 image items and 145,000", "validation": "1,014 image items and 5,070"}


@pytest.mark.parametrize(
    ("split", "found"), [("train", r"2 and 3"), ("validation", r"1 and 2")], ids=["train", "validation"]
)
def test_counts_are_checked_unless_told_otherwise(split, found, images, annotations):
    with pytest.raises(
        DatasetError,
        match=rf"^flickr30k, split '{split}': published with {PUBLISHED[split]} captions, "
        rf"but this copy gives {found}\. Figures measured on it cannot be compared\. "
        r"Complete the copy, or set dataset\.options\.check_counts=false if this is meant\.$",
    ):
        flickr30k(split=split, images=images, annotations=annotations)


@pytest.mark.parametrize("form", ["images", "lmms", "mteb"])
def test_a_caption_of_two_pictures_counts_twice_as_published_counts_do(form, images, lmms, mteb, annotations):
    source = {
        "images": {"images": images, "annotations": annotations},
        "lmms": {"parquet": lmms, "annotations": annotations},
        "mteb": {"parquet": mteb},
    }[form]
    with pytest.raises(
        DatasetError, match=r"published with 1,000 image items and 5,000 captions, but this copy gives 2 and 4\."
    ):
        flickr30k(split="test", **source)


def test_captions_of_an_absent_photograph_are_not_counted_as_found(images, annotations, tmp_path):
    (tmp_path / "flickr30k-images" / "10.jpg").unlink()
    with pytest.raises(
        DatasetError, match=r"gives 1 and 2\. .* 1 entries were left out \(10\.jpg: no such file in .*flickr30k-images"
    ):
        flickr30k(split="test", images=images, annotations=annotations)


def test_a_copy_of_the_published_size_passes_the_check(tmp_path):
    entries = [
        (f"{number}.jpg", "val", [f"caption {k} of picture {number}" for k in range(5)]) for number in range(1014)
    ]
    images = write_files(tmp_path / "images", [entry[0] for entry in entries])
    annotations = write_karpathy(tmp_path / "dataset_flickr30k.json", entries)
    pairs = flickr30k(split="validation", images=images, annotations=annotations)
    assert (len(pairs.left), len(pairs.right), len(pairs.links)) == (1014, 5070, 5070)


def test_an_unknown_split_is_refused_with_the_known_ones():
    with pytest.raises(DatasetError, match=r"^flickr30k has no split 'val2'; it has: train, validation, test\.$"):
        flickr30k(split="val2", images="images", annotations="dataset_flickr30k.json")


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"images": "i"},
        {"annotations": "a.json"},
        {"images": "i", "parquet": "p"},
        {"images": "i", "annotations": "a.json", "parquet": "p"},
    ],
    ids=" and ".join,
)
def test_any_other_combination_of_sources_is_refused(given):
    with pytest.raises(
        DatasetError,
        match=r"^flickr30k needs images and annotations, or parquet and annotations, or parquet alone\.$",
    ):
        flickr30k(split="test", **given)


def test_parquet_alone_is_the_test_split_alone(mteb):
    with pytest.raises(
        DatasetError, match=r"^flickr30k: parquet without annotations is the test split alone, not 'train'\.$"
    ):
        flickr30k(split="train", parquet=mteb)


def test_parquet_without_splits_of_its_own_asks_for_annotations(lmms):
    with pytest.raises(
        DatasetError,
        match=r"^flickr30k: .*lmms is not in mteb's layout \(corpus, query, qrels\), and has no splits of its own\. "
        r"Give Karpathy's JSON as dataset\.options\.annotations\.$",
    ):
        flickr30k(split="test", parquet=lmms)


def test_a_copy_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"^data set '.*nowhere' cannot be reached: Couldn't find any data file"):
        flickr30k(split="test", parquet=str(tmp_path / "nowhere"))


def test_annotations_without_the_split_leave_nothing(images, tmp_path):
    annotations = write_karpathy(tmp_path / "train_only.json", [("11.jpg", "train", ["Two men ."])])
    with pytest.raises(
        DatasetError, match=r"^flickr30k, split 'test': none of the files is in .*flickr30k-images: no file named\.$"
    ):
        flickr30k(split="test", images=images, annotations=annotations)


def test_a_parquet_copy_of_something_else_leaves_no_pair(annotations, tmp_path):
    copy = write_lmms_flickr30k(tmp_path / "other", [("99.jpg", picture(1), ["A cat ."])])
    with pytest.raises(
        DatasetError,
        match=r"^flickr30k, split 'test': no pair is left\. 2 entries were left out \(10\.jpg: no such row in .*other; "
        r"13\.jpg: no such row in .*other, …\)\.$",
    ):
        flickr30k(split="test", parquet=copy, annotations=annotations)


def test_a_column_that_the_copy_lacks_is_named(annotations, tmp_path):
    write_parquet(
        tmp_path / "copy" / "test-00000-of-00001.parquet",
        {"image": encoded_column([picture(0)]), "caption": [["A dog runs ."]]},
    )
    with pytest.raises(DatasetError, match=r"copy has no column 'filename'; it has: image, caption\.$"):
        flickr30k(split="test", parquet=str(tmp_path / "copy"), annotations=annotations)
