"""ESC-50: five-second sounds of 50 classes, from the author's folder and CSV file.

Place in the flow: files on disk -> PairSet of sounds and prompts, with known counts.
Source: Piczak, "ESC: Dataset for Environmental Sound Classification", ACM Multimedia 2015; github.com/karoldvl/ESC-50.

Its author's protocol is cross-validation over five folds, made so that clips of one recording share a fold. Without
training on its classes all 2,000 clips are test, which is the split `test`. The fold is the first number of a clip's
name, `<fold>-<recording>-<take>-<class>.wav`.
"""

from pathlib import Path

from fusemix.datasets.caption_files import CaptionLine, read_captions
from fusemix.datasets.classes import pair_classes, require_published
from fusemix.datasets.prompts import chosen_templates, require_different_words, words_of_classes
from fusemix.disk.files import sha256_of_file
from fusemix.interfaces import PairSet
from fusemix.parts.kinds import Location
from fusemix.split_names import require_known

NUM_CLASSES = 50
COUNTS = {"test": 2_000, **{f"fold{number}": 400 for number in range(1, 6)}}
"""Clips of each split."""


def esc50(
    *,
    split: str,
    clips: Location,
    annotations: Location,
    templates: list[str] | str | None = None,
    class_names: dict[str, str] | Location | None = None,
    check_counts: bool = True,
) -> PairSet:
    """ESC-50 with prompts for its classes.

    Args:
        split: `test` (all clips), or `fold1` to `fold5`.
        clips: the folder of sounds, ESC-50/audio.
        annotations: ESC-50/meta/esc50.csv, or another table with a column of files and a column `category`.
        templates: with `{}` for the name of a class, by default "This is a sound of {}."
        class_names: class -> words, or a file of them; by default the classes with spaces for `_`.
        check_counts: refuse a copy that has not the published size.

    Raises:
        DatasetError: something is missing, or the counts differ.
    """
    split = require_known("esc50", split, COUNTS)
    table = Path(annotations)
    lines = list(read_captions(table, file_column=None, caption_column="category"))
    classes = sorted({line.caption for line in lines})
    words = words_of_classes("esc50", classes, class_names)
    require_different_words("esc50", words)
    pairs = pair_classes(
        "esc50",
        "audio",
        split,
        Path(clips),
        (line for line in lines if _is_of(line, split)),
        sha256_of_file(table)[:12],
        words,
        chosen_templates("esc50", "audio", templates),
    )
    return require_published(pairs, (COUNTS[split], NUM_CLASSES), num_classes=len(classes)) if check_counts else pairs


def _is_of(line: CaptionLine, split: str) -> bool:
    return split == "test" or Path(line.file).name.startswith(f"{split.removeprefix('fold')}-")
