"""Flickr30K in Karpathy's splits, from the publishers' files or from the hub's parquet copies.

Place in the flow: files on disk or a hub -> PairSet with known counts.
Source of the splits: Karpathy & Fei-Fei, CVPR 2015, `dataset_flickr30k.json`.
"""

from fusemix.datasets.caption_files import CaptionLine, read_captions
from fusemix.datasets.captioned_files import pair_files
from fusemix.datasets.hub import (
    CaptionedRows,
    column,
    is_retrieval_layout,
    load_rows,
    pair_rows,
    retrieval_rows,
    revision_of,
    undecoded,
)
from fusemix.datasets.pairs import require_counts
from fusemix.disk.files import sha256_of_file
from fusemix.errors import DatasetError
from fusemix.interfaces import PairSet, Rejected
from fusemix.parts.kinds import Location, Place
from fusemix.remote.fetched import here
from fusemix.remote.paths import located
from fusemix.split_names import require_known

COUNTS = {"train": (29_000, 145_000), "validation": (1_014, 5_070), "test": (1_000, 5_000)}
"""Images and captions of each split."""
KARPATHY_SPLIT = {"train": "train", "validation": "val", "test": "test"}


def flickr30k(
    *,
    split: str,
    images: Place | None = None,
    annotations: Place | None = None,
    parquet: Location | None = None,
    revision: str | None = None,
    check_counts: bool = True,
) -> PairSet:
    """Flickr30K, in one of three forms.

    - `images` and `annotations`: the folder of photographs and Karpathy's JSON;
    - `parquet` and `annotations`: a copy of `lmms-lab/flickr30k`, which has no splits of its own;
    - `parquet` alone: a copy of `mteb/flickr30kt2i`, which is the 1K test split.

    Args:
        split: `train`, `validation` or `test`.
        images: folder of photographs.
        annotations: Karpathy's `dataset_flickr30k.json`.
        parquet: hub name or folder of parquet files.
        revision: commit of the hub copy.
        check_counts: refuse a copy whose split has not the published size.

    Raises:
        DatasetError: something is missing, or the counts differ.
    """
    split = require_known("flickr30k", split, COUNTS)
    if images and annotations and not parquet:
        lines = _karpathy_lines(annotations, split)
        pairs = pair_files("flickr30k", "image", split, located(images), lines, sha256_of_file(here(annotations))[:12])
        present = set(pairs.left.table["id"].to_pylist())
        num_captions = sum(line.file in present for line in lines)
    elif parquet and not images:
        source = _joined(parquet, annotations, split, revision) if annotations else _mteb(parquet, split, revision)
        copy = revision_of(source.rows, parquet, revision)
        pairs = pair_rows(source, dataset="flickr30k", revision=copy, split=split, modality="image")
        num_captions = sum(len(captions) for captions in source.captions)
    else:
        raise DatasetError("flickr30k needs images and annotations, or parquet and annotations, or parquet alone.")
    return require_counts(pairs, COUNTS[split], num_captions=num_captions) if check_counts else pairs


def _karpathy_lines(annotations: str, split: str) -> list[CaptionLine]:
    lines = read_captions(here(annotations), file_column=None, caption_column=None)
    return [line for line in lines if line.split == KARPATHY_SPLIT[split]]


def _joined(parquet: str, annotations: str, split: str, revision: str | None) -> CaptionedRows:
    members = dict.fromkeys(line.file for line in _karpathy_lines(annotations, split))
    rows = load_rows(parquet, config=None, split="test", revision=revision)
    rows = undecoded(rows, "image", parquet, modality="image")
    names = column(rows, "filename", parquet)
    known = set(names)
    chosen = [position for position, name in enumerate(names) if name in members]
    rows = rows.select(chosen)
    ids = [names[position] for position in chosen]
    absent = [Rejected(name, "dataset", f"no such row in {parquet}") for name in members if name not in known]
    return CaptionedRows(rows, "image", ids, column(rows, "caption", parquet), absent)


def _mteb(parquet: str, split: str, revision: str | None) -> CaptionedRows:
    if split != "test":
        raise DatasetError(f"flickr30k: parquet without annotations is the test split alone, not {split!r}.")
    if not is_retrieval_layout(parquet, revision):
        raise DatasetError(
            f"flickr30k: {parquet} is not in mteb's layout (corpus, query, qrels), and has no splits of its own. "
            "Give Karpathy's JSON as dataset.options.annotations."
        )
    return retrieval_rows(parquet, modality="image", split="test", revision=revision)
