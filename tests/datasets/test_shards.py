"""Which tars of a folder are a split's, and what is said of those that are not read."""

import tarfile

import pytest
from dataset_samples import captions_of, excluded_of, picture
from published_samples import sample, write_tar

from fusemix.datasets.shards import split_said
from fusemix.datasets.webdataset import cc3m, sbu, webdataset
from fusemix.errors import DatasetError


@pytest.fixture
def shards(tmp_path):
    """Write tars of one sample each by their names; gives their folder."""

    def write(*names):
        for number, name in enumerate(names):
            write_tar(tmp_path / "tars" / name, sample("0", f"Caption of {name}.", number))
        return str(tmp_path / "tars")

    return write


def tars_of(pairs):
    return [item.rpartition("/")[0] for item in captions_of(pairs)]


def test_validation_tars_beside_those_of_train_are_not_trained_on(shards):
    folder = shards("cc3m-train-0000.tar", "cc3m-train-0001.tar", "cc3m-validation-0000.tar")
    assert tars_of(cc3m(split="train", folder=folder)) == ["cc3m-train-0000", "cc3m-train-0001"]
    assert tars_of(cc3m(split="validation", folder=folder)) == ["cc3m-validation-0000"]
    assert len(webdataset(split="all", folder=folder).left) == 3
    with pytest.raises(
        DatasetError, match=r"^webdataset has no split 'test'; by the names .* train, validation, all\."
    ):
        webdataset(split="test", folder=folder)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("cc3m-train-0000.tar", "train"),
        ("imagenet1k-validation-07.tar", "validation"),
        ("val_000.tar", "validation"),
        ("coco_captions_test_0.tar", "test"),
        ("train2014-00.tar", "train"),
        ("VALID-1.TAR", "validation"),
        ("00000.tar", None),
        ("contest-0.tar", None),
        ("trainval-0.tar", None),
        ("train-without-test-0.tar", None),
    ],
)
def test_words_of_a_name_say_its_split(name, split):
    assert split_said(name) == split


def test_names_that_say_no_split_are_everything(shards):
    folder = shards("00000.tar", "00001.tar")
    assert tars_of(sbu(split="train", folder=folder)) == ["00000", "00001"]


def test_one_s_own_word_for_a_split_finds_its_tars(shards):
    folder = shards("x-train-0.tar", "x-dev-0.tar")
    for split in ("validation", "val", "dev"):
        assert tars_of(webdataset(split=split, folder=folder)) == ["x-dev-0"]


def test_tars_some_of_which_say_a_split_are_refused_unless_all_are_wanted(shards):
    folder = shards("00000.tar", "x-test-0.tar")
    with pytest.raises(DatasetError, match=r"say a split \(test\), others such as 00000\.tar do not\. Move the tars"):
        webdataset(split="train", folder=folder)
    assert len(webdataset(split="all", folder=folder).left) == 2


def test_fractions_of_tars_that_say_their_splits_are_refused(shards):
    folder = shards("x-train-0.tar", "x-val-0.tar")
    with pytest.raises(DatasetError, match=r"say their splits already \(train, validation\), and fractions were given"):
        webdataset(split="a", folder=folder, fractions={"a": 1.0})


def test_compressed_and_unfinished_tars_are_listed_and_hidden_ones_passed_over(shards, tmp_path):
    folder = shards("0.tar", "2.TAR", "._0.tar")
    for name in ("1.tar.gz", "3.tgz", "4.tar.part"):
        (tmp_path / "tars" / name).write_bytes(b"x")
    (tmp_path / "tars/5.tar").symlink_to(tmp_path / "gone.tar")
    pairs = webdataset(split="all", folder=folder)
    assert tars_of(pairs) == ["0", "2.TAR"]
    assert [item for item, reason in excluded_of(pairs) if reason.startswith("no plain .tar")] == [
        "1.tar.gz",
        "3.tgz",
        "4.tar.part",
    ]
    assert ("5.tar", "no file, but a folder, a pipe or a lost link") in excluded_of(pairs)


def test_a_folder_of_compressed_tars_alone_is_refused_with_what_to_do(tmp_path):
    with tarfile.open(tmp_path / "0.tar.gz", "w:gz"):
        pass
    with pytest.raises(
        DatasetError, match=r"there is no \.tar in .*\. Unpack the compressed ones first, such as 0\.tar"
    ):
        webdataset(split="all", folder=str(tmp_path))


FIVE = "a cat\na black cat \r\n\ncat on a mat"


@pytest.fixture
def several_lines(tmp_path):
    members = [("0.png", picture(0)), ("0.txt", FIVE), ("1.png", picture(1)), ("1.txt", "a dog\u2028barks")]
    write_tar(tmp_path / "0.tar", members)
    return str(tmp_path)


def test_each_line_of_a_txt_is_a_caption_where_the_options_say_so(several_lines):
    pairs = webdataset(split="all", folder=several_lines, captions="lines")
    assert captions_of(pairs) == {"0/0": ["a cat", "a black cat", "cat on a mat"], "0/1": ["a dog\u2028barks"]}


def test_captions_of_several_lines_are_refused_where_nobody_said_what_they_are(several_lines):
    with pytest.raises(DatasetError, match=r"captions of 1 of 2 samples have several lines\. Say .*captions=lines"):
        webdataset(split="all", folder=several_lines)
    assert captions_of(webdataset(split="all", folder=several_lines, captions="whole"))["0/0"] == [FIVE]
    with pytest.raises(DatasetError, match=r"captions must be lines or whole, not 'line'\.$"):
        webdataset(split="all", folder=several_lines, captions="line")


def test_a_few_captions_of_several_lines_are_whole_and_told(tmp_path, capsys):
    captions = ["one\ntwo", *(f"caption {number}" for number in range(19))]
    write_tar(tmp_path / "0.tar", [m for n, text in enumerate(captions) for m in sample(f"{n:03}", text, n)])
    pairs = webdataset(split="all", folder=str(tmp_path))
    assert captions_of(pairs)["0/000"] == ["one\ntwo"]
    assert "the captions of 1 samples have several lines" in capsys.readouterr().out
