"""What is said of hub data sets that are missing, out of reach, damaged, incomplete or loaded by a script."""

import pytest
from dataset_samples import COLUMNS, captions_of, write_retrieval
from datasets import Dataset

from fusemix.datasets.columns import ROWS_AT_ONCE
from fusemix.datasets.hub import column, is_retrieval_layout, pair_rows, retrieval_rows, stream
from fusemix.datasets.huggingface import huggingface
from fusemix.errors import DatasetError


def test_a_path_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(
        DatasetError,
        match=r"^data set '.*nowhere', configuration None, split 'train' cannot be loaded: \w+: Couldn't find any data "
        r"file at .*nowhere\. A local folder of parquet files works in place of a hub name\.$",
    ):
        huggingface(split="train", path=str(tmp_path / "nowhere"), columns=COLUMNS)


def test_a_hub_that_cannot_be_reached_is_said_so():
    with pytest.raises(
        DatasetError,
        match=r"'some/where', .* cannot be loaded: ConnectionError: Couldn't reach 'some/where' on the Hub",
    ):
        huggingface(split="train", path="some/where", columns=COLUMNS)
    with pytest.raises(DatasetError, match=r"^data set 'some/where' cannot be reached: Couldn't reach 'some/where'"):
        is_retrieval_layout("some/where", None)


def test_a_split_that_is_not_there_is_named_with_those_that_are(copy):
    with pytest.raises(DatasetError, match=r"split 'test' cannot be loaded: ValueError: Unknown split \"test\".*train"):
        huggingface(split="test", path=copy(), columns=COLUMNS)


def test_a_configuration_that_is_not_there_is_named(copy):
    with pytest.raises(DatasetError, match=r"configuration 'fr', split 'train' cannot be loaded: .*'fr' not found"):
        huggingface(split="train", path=copy(), config="fr", columns=COLUMNS)


def test_a_parquet_file_without_its_end_is_refused(copy, tmp_path):
    path = copy()
    whole = (tmp_path / "copy" / "train.parquet").read_bytes()
    (tmp_path / "copy" / "train.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DatasetError, match=r"cannot be loaded: ArrowInvalid: Parquet magic bytes not found in footer"):
        huggingface(split="train", path=path, columns=COLUMNS)


def test_a_parquet_file_with_a_damaged_middle_is_refused_with_the_cause(copy, tmp_path):
    path = copy()
    damaged = bytearray((tmp_path / "copy" / "train.parquet").read_bytes())
    damaged[4:100] = b"\xff" * 96
    (tmp_path / "copy" / "train.parquet").write_bytes(bytes(damaged))
    with pytest.raises(DatasetError, match=r"cannot be loaded: (?!DatasetGenerationError)\w+: .+ A local folder"):
        huggingface(split="train", path=path, columns=COLUMNS)


def test_a_copy_with_fewer_rows_than_its_readme_says_is_refused(copy, tmp_path):
    path = copy()
    (tmp_path / "copy" / "README.md").write_text(
        "---\ndataset_info:\n  splits:\n  - name: train\n    num_bytes: 9\n    num_examples: 9\n---\n", encoding="utf-8"
    )
    with pytest.raises(DatasetError, match=r"cannot be loaded: NonMatchingSplitsSizesError: .*num_examples=9"):
        huggingface(split="train", path=path, columns=COLUMNS)


def test_a_data_set_with_a_loading_script_is_refused_with_the_copies_in_parquet(tmp_path):
    (tmp_path / "scripted").mkdir()
    (tmp_path / "scripted" / "scripted.py").write_text("", encoding="utf-8")
    with pytest.raises(
        DatasetError,
        match=r"scripted is loaded by a script, which `datasets` no longer runs\. Use a copy in parquet: for Flickr30K "
        r"lmms-lab/flickr30k or mteb/flickr30kt2i, for others try revision=refs/convert/parquet\.$",
    ):
        huggingface(split="train", path=str(tmp_path / "scripted"), columns=COLUMNS)
    with pytest.raises(DatasetError, match=r"scripted' cannot be reached: Dataset scripts are no longer supported"):
        is_retrieval_layout(str(tmp_path / "scripted"), None)


def test_a_fault_that_has_nothing_to_do_with_scripts_keeps_its_traceback(copy, tmp_path):
    path = copy()
    deep = "[" * 1500 + "]" * 1500
    (tmp_path / "copy" / "README.md").write_text(f"---\nnested: {deep}\n---\n", encoding="utf-8")
    with pytest.raises(RecursionError, match="recursion depth"):
        huggingface(split="train", path=path, columns=COLUMNS)


@pytest.mark.parametrize("part", [None, range(7, 70_001), [5, 3, 5, 69_999]], ids=["whole", "slice", "chosen rows"])
def test_a_streamed_column_has_the_values_and_the_order_of_the_rows(part):
    table = {
        "text": [[f"caption {n}"] * (n % 3) for n in range(ROWS_AT_ONCE + 5_000)],
        "other": [0] * (ROWS_AT_ONCE + 5_000),
    }
    rows = Dataset.from_dict(table)
    wanted = table["text"] if part is None else [table["text"][row] for row in part]
    rows = rows if part is None else rows.select(part)
    assert list(stream(rows, "text", "copy")) == column(rows, "text", "copy") == wanted


def test_a_column_that_is_not_there_is_named_before_any_row_is_read():
    with pytest.raises(DatasetError, match=r"^copy has no column 'text'; it has: caption\.$"):
        stream(Dataset.from_dict({"caption": ["one"]}), "text", "copy")


def judged(folder, **changes):
    given = {"media": {"c0": b"0", "c1": b"1"}, "queries": {"q0": "rain"}, "judgements": [("q0", "c0", 1)], **changes}
    copy = write_retrieval(folder, "audio", *given.values())
    source = retrieval_rows(copy, modality="audio", split="test", revision=None)
    return pair_rows(source, dataset="mteb", revision="1", split="test", modality="audio")


def test_a_judgement_without_ids_links_nothing(tmp_path):
    media, queries = {"c0": b"0", None: b"1"}, {"q0": "rain", None: "wind"}
    pairs = judged(
        tmp_path, media=media, queries=queries, judgements=[("q0", "c0", 1), (None, None, 1), ("q0", "c0", None)]
    )
    assert captions_of(pairs) == {"c0": ["rain"]}
    assert ("row 1", "dataset") in [tuple(rejected)[:2] for rejected in pairs.excluded]
