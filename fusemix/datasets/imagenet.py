"""ImageNet's 1,000 classes of ILSVRC2012, from one folder a class.

Place in the flow: files on disk -> PairSet of pictures and prompts, with known counts.
Source: Russakovsky et al., "ImageNet Large Scale Visual Recognition Challenge", arXiv:1409.0575. Its folders are called
by WordNet ids; names in words are open_clip's IMAGENET_CLASSNAMES, which CLIP's authors wrote, in the order of the ids.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from fusemix.datasets.classes import pair_folders, require_published, subfolders
from fusemix.datasets.prompts import chosen_templates, classes_of_equal_words, given_names
from fusemix.errors import DatasetError
from fusemix.interfaces import PairSet
from fusemix.parts.kinds import Location
from fusemix.progress import console
from fusemix.split_names import require_known

NUM_CLASSES = 1_000
COUNTS = {"train": 1_281_167, "validation": 50_000}
"""Pictures of each split; the labels of the test pictures were never published."""
FOLDERS = {"train": ("train",), "validation": ("val", "validation")}
WORDNET_ID = re.compile(r"n\d{8}")


def imagenet(
    *,
    split: str,
    folder: Location,
    templates: list[str] | str | None = None,
    class_names: dict[str, str] | Location | None = None,
    check_counts: bool = True,
) -> PairSet:
    """ImageNet with prompts for its classes.

    Args:
        split: `validation`, what everybody measures on, or `train`.
        folder: holds the folders of the classes (n01440764, …), or a folder train or val with these.
        templates: with `{}` for the name of a class, by default "a photo of a {}."; or `openai`, CLIP's 80.
        class_names: WordNet id -> words, or a file of them, such as Kaggle's LOC_synset_mapping.txt; by default the
            names of CLIP's authors.
        check_counts: refuse a copy that has not the published size.

    Raises:
        DatasetError: something is missing, a class has no name, or the counts differ.
    """
    split = require_known("imagenet", split, COUNTS)
    root = Path(folder)
    chosen = next((root / name for name in FOLDERS[split] if (root / name).is_dir()), root)
    classes = subfolders("imagenet", chosen)
    words = _words(chosen, classes, class_names)
    if alike := classes_of_equal_words(words):  # two pairs of CLIP's names are, and published figures were made so
        text = f"imagenet: the classes {' and '.join(alike[0])} are both called {words[alike[0][0]]!r}"
        more = f" (classes called alike: {len(alike):,}); their pictures tie, and ties count as wrong"
        console.print(text + more, style="yellow")
    pairs = pair_folders(
        "imagenet", "image", split, root, chosen, words, chosen_templates("imagenet", "image", templates)
    )
    return require_published(pairs, (COUNTS[split], NUM_CLASSES), num_classes=len(classes)) if check_counts else pairs


def _words(folder: Path, classes: Sequence[str], class_names: Mapping[str, str] | str | None) -> dict[str, str]:
    names = given_names(class_names)
    if class_names is None and len(classes) == NUM_CLASSES and all(map(WORDNET_ID.fullmatch, classes)):
        from open_clip import IMAGENET_CLASSNAMES

        names = dict(zip(classes, IMAGENET_CLASSNAMES, strict=True))
    unnamed = [label for label in classes if not names.get(label)]
    if unnamed:
        raise DatasetError(
            f"imagenet: {len(unnamed):,} of the {len(classes):,} folders in {folder} have no name in words, such as "
            f"{unnamed[0]}. Names are known where all 1,000 folders of ILSVRC2012 are there. Otherwise give "
            "dataset.options.class_names: a JSON file of folder -> words, or Kaggle's LOC_synset_mapping.txt."
        )
    return {label: names[label] for label in classes}
