"""COCO Captions in Karpathy's splits, from the publishers' pictures and `dataset_coco.json`.

Place in the flow: files on disk -> PairSet with known counts.
Source: Chen et al., "Microsoft COCO Captions", arXiv:1504.00325, pictures of 2014; the splits are those of
Karpathy & Fei-Fei, CVPR 2015.

Karpathy took validation and test out of COCO's own validation pictures. What he left of them is `restval`, which most
papers train on too: ask for the split `train+restval`.
"""

from fusemix.datasets.caption_files import read_captions
from fusemix.datasets.captioned_files import pair_files
from fusemix.datasets.counted import TalliedLines
from fusemix.disk.files import sha256_of_file
from fusemix.errors import DatasetError
from fusemix.interfaces import PairSet
from fusemix.parts.kinds import Place
from fusemix.remote.fetched import here
from fusemix.remote.paths import located
from fusemix.split_names import require_known

COUNTS = {
    "train": (82_783, 414_113),
    "restval": (30_504, 152_634),
    "train+restval": (113_287, 566_747),
    "validation": (5_000, 25_010),
    "test": (5_000, 25_010),
}
"""Pictures and captions of each split; some pictures have six or seven captions."""
KARPATHY_SPLITS = {
    "train": {"train"},
    "restval": {"restval"},
    "train+restval": {"train", "restval"},
    "validation": {"val"},
    "test": {"test"},
}


def coco(*, split: str, images: Place, annotations: Place, check_counts: bool = True) -> PairSet:
    """COCO Captions of 2014.

    Args:
        split: `train`, `restval`, `train+restval` (both, which is what most papers train on), `validation` or `test`.
        images: folder that holds the folders train2014 and val2014.
        annotations: Karpathy's `dataset_coco.json`.
        check_counts: refuse a copy whose split has not the published size.

    Raises:
        DatasetError: something is missing, or the counts differ.
    """
    split = require_known("coco", split, COUNTS)
    table = here(annotations)
    if not table.is_file():
        raise DatasetError(f"coco: there is no file {table}.")
    lines = read_captions(table, file_column=None, caption_column=None)
    tallied = TalliedLines(line for line in lines if line.split in KARPATHY_SPLITS[split])
    pairs = pair_files("coco", "image", split, located(images), tallied, sha256_of_file(table)[:12])
    return tallied.require(pairs, COUNTS[split]) if check_counts else pairs
