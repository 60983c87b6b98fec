"""Prompts out of class names and templates, for classification without training on the classes.

Place in the flow: class names and templates -> prompts, the text items of a labelled data set (classes.py).
Not here: how prompts become a classifier (fusemix/retrieval/zero_shot.py).

Sources: "a photo of a {}." and several templates a class are from Radford et al., "Learning Transferable Visual Models
From Natural Language Supervision", arXiv:2103.00020, section 3.1.4; "This is a sound of {}" is from Elizalde et al.,
"CLAP", arXiv:2206.04769, section 3.3.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from fusemix.datasets.given_values import unique_pairs
from fusemix.errors import DatasetError
from fusemix.parts.registry import nearest
from fusemix.text_files import read_text, why_no_text

TEMPLATES = {"image": ("a photo of a {}.",), "audio": ("This is a sound of {}.",)}
"""What is used where nothing else is asked for."""
HOLE = "{}"
"""Where a template takes the name of a class."""
PROMPTS = pa.schema([(name, pa.string()) for name in ("id", "caption", "class", "template")])


def prompt_table(words: Mapping[str, str], templates: Sequence[str]) -> pa.Table:
    """One row a class and template, class by class: the item table of a labelled data set's text side.

    Args:
        words: class -> its name in words.
        templates: each with a hole for the name.
    """
    rows = [
        (f"{label}#{number}", template.replace(HOLE, name), label, template)
        for label, name in words.items()
        for number, template in enumerate(templates)
    ]
    columns = [list(column) for column in zip(*rows, strict=True)]
    return pa.table(columns, schema=PROMPTS)


def chosen_templates(dataset: str, modality: str, templates: Sequence[str] | str | None) -> list[str]:
    """The templates that the options ask for.

    Args:
        dataset: for messages.
        modality: whose templates to use where none are given.
        templates: some of one's own; `openai`, the 80 that CLIP's authors made for ImageNet; or None.

    Raises:
        DatasetError: a template has not exactly one hole, occurs twice, or there is none.
    """
    if templates is None:
        return list(TEMPLATES[modality])
    if templates == "openai":
        from open_clip import OPENAI_IMAGENET_TEMPLATES

        return [template(HOLE) for template in OPENAI_IMAGENET_TEMPLATES]
    where = f"{dataset}: dataset.options.templates"
    if isinstance(templates, str):
        raise DatasetError(f"{where} is {templates!r}. Give a list, such as ['a drawing of a {{}}.'], or openai.")
    given = list(templates)
    for template in given:
        if template.count(HOLE) != 1:
            raise DatasetError(f"{where}: {template!r} must hold {HOLE} once, where the name of a class goes.")
    if not given or len(set(given)) < len(given):
        raise DatasetError(f"{where} {'holds a template twice' if given else 'is empty'}. Give each template once.")
    return given


def words_of_classes(
    dataset: str, classes: Sequence[str], class_names: Mapping[str, str] | str | None
) -> dict[str, str]:
    """Class -> its name in words, in the order of `classes`.

    A class without a name of its own is called as its folder, with spaces for `_` and `-`.

    Args:
        dataset: for messages.
        classes: as the folders are called.
        class_names: class -> words, or a file that `read_class_names` reads.

    Raises:
        DatasetError: the names are of other classes.
    """
    names = given_names(class_names)
    unknown = sorted(names.keys() - set(classes))
    # A file may name more classes than there are, as ImageNet's does for a part of ImageNet.
    if unknown and (not isinstance(class_names, str) or len(unknown) == len(names)):
        raise DatasetError(
            f"{dataset}: dataset.options.class_names names {unknown[0]!r}, which is no class here."
            f"{nearest(unknown[0], list(classes))} There are {len(classes):,}, such as {', '.join(classes[:3])}."
        )
    return {label: names.get(label) or label.replace("_", " ").replace("-", " ").strip() for label in classes}


def classes_of_equal_words(words: Mapping[str, str]) -> list[list[str]]:
    """Classes that are called alike, whose prompts are therefore the same."""
    called: dict[str, list[str]] = {}
    for label, name in words.items():
        called.setdefault(" ".join(name.split()), []).append(label)
    return [labels for labels in called.values() if len(labels) > 1]


def require_different_words(dataset: str, words: Mapping[str, str]) -> None:
    """Refuse classes that are called alike: their prompts tie for each of their files, and a tie counts as wrong.

    Raises:
        DatasetError: two are.
    """
    if alike := classes_of_equal_words(words):
        example = "{n02012849: crane bird, n03126707: crane}"
        raise DatasetError(
            f"{dataset}: the classes {' and '.join(alike[0])} are both called {words[alike[0][0]]!r}, so their prompts "
            "are the same and neither can be told from the other. Give them words that differ as "
            f"dataset.options.class_names, such as {example}."
        )


def given_names(class_names: Mapping[str, str] | str | None) -> dict[str, str]:
    """Class -> words, out of a file where a path is given."""
    return read_class_names(Path(class_names)) if isinstance(class_names, str) else dict(class_names or {})


def read_class_names(path: Path) -> dict[str, str]:
    """Class -> words.

    A `.json` file holds one object. Any other holds a class a line and after it its words, of which those before the
    first comma are taken, as in Kaggle's LOC_synset_mapping.txt: `n01440764 tench, Tinca tinca`.

    Raises:
        DatasetError: the file is missing, or is not of one of these layouts.
    """
    if not path.is_file():
        raise DatasetError(f"there is no file of class names {path}.")
    try:
        if path.suffix.lower() == ".json":
            names = json.loads(read_text(path), object_pairs_hook=unique_pairs)
        else:
            lines = [line.split(maxsplit=1) for line in read_text(path).split("\n")]
            names = unique_pairs([(label, words.split(",")[0].strip()) for label, words in filter(None, lines)])
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} cannot be read as class names in UTF-8: {why_no_text(path)}") from error
    except ValueError as error:
        raise DatasetError(f"{path} cannot be read as class names, a class and its words a line: {error}") from error
    if not isinstance(names, dict) or not all(isinstance(words, str) for words in names.values()):
        raise DatasetError(f'{path} must hold one object of class -> words, such as {{"n01440764": "tench"}}.')
    return names
