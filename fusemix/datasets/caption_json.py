"""Caption files that are one piece of JSON: Karpathy's layout, which names splits, and COCO's own.

Place in the flow: a .json of caption_files.py -> lines of (file, caption, split).
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from fusemix.datasets.given_values import captions_in, name_in, plain_path, split_in, unique_pairs
from fusemix.datasets.own_columns import own_of
from fusemix.errors import DatasetError
from fusemix.interfaces import Rejected

KARPATHY = ("filename", "filepath", "sentences", "sentids", "imgid", "cocoid", "split")
COCO = ("id", "file_name")
"""What is said of a picture in each layout anyway."""


class CaptionLine(NamedTuple):
    """One caption of one file; `split` only where the caption file names it, and `own` where it says more."""

    file: str
    caption: str
    split: str | None = None
    own: str | None = None


def from_json(path: Path, file: TextIO, aside: list[Rejected] | None) -> Iterator[CaptionLine]:
    """Read a caption file in one of the two layouts, whole.

    Args:
        path: of the file, for messages.
        file: opened.
        aside: receives captions of images that COCO's own layout does not name; None refuses that layout.

    Raises:
        DatasetError: it is in neither.
    """
    data = _json(path, file)
    is_coco = isinstance(data, dict) and isinstance(data.get("annotations"), list)
    return _from_coco(path, data, aside) if is_coco and "images" in data else _from_karpathy(path, data)


def _json(path: Path, file: TextIO) -> Any:
    try:
        return json.load(file, object_pairs_hook=unique_pairs)
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise
    except ValueError as error:
        raise DatasetError(f"{path}: {error}, so it cannot be known what is meant.") from error


def _from_karpathy(path: Path, data: Any) -> Iterator[CaptionLine]:
    if not isinstance(data, dict) or not isinstance(data.get("images"), list):
        raise DatasetError(f"{path} is not in Karpathy's layout: it has no list 'images'.")
    for image in data["images"]:
        try:
            # COCO keeps its two folders apart in "filepath"; Flickr has none.
            file = "/".join(part for part in (name_in(image.get("filepath")), name_in(image["filename"])) if part)
            captions = [caption for sentence in image["sentences"] for caption in captions_in(sentence["raw"])]
            split = split_in(image.get("split"))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise DatasetError(
                f"{path}: an entry of 'images' is not in Karpathy's layout, which has 'filename' and 'sentences' with "
                f"'raw' each: {str(image)[:100]}"
            ) from error
        for caption in captions or [""]:
            file = plain_path(file) if name_in(image["filename"]) else ""
            yield CaptionLine(file, caption, split, own_of(image, KARPATHY))


def _from_coco(path: Path, data: Mapping[str, Any], aside: list[Rejected] | None) -> Iterator[CaptionLine]:
    if aside is None:
        raise DatasetError(
            f"{path} is COCO's own caption file, and this data set needs Karpathy's, which names the splits: "
            "dataset_coco.json. To take COCO's as it is, set dataset.name=image_captions."
        )
    captions: dict[Any, list[str]] = {}
    files: dict[Any, str] = {}
    own: dict[Any, str | None] = {}
    try:
        for image in data["images"]:
            if image["id"] in files:
                raise DatasetError(f"{path}: two images have the id {image['id']!r}, so their captions cannot be told.")
            files[image["id"]], captions[image["id"]] = plain_path(name_in(image["file_name"])), []
            own[image["id"]] = own_of(image, COCO)
        for annotation in data["annotations"]:
            if annotation["image_id"] in captions:
                captions[annotation["image_id"]] += captions_in(annotation["caption"])
            else:
                reason = f"a caption of image {annotation['image_id']!r}, which is not among the images of {path.name}"
                aside.append(Rejected(f"annotation {annotation.get('id')}", "dataset", reason))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DatasetError(
            f"{path} is not in COCO's layout of captions: 'images' with 'id' and 'file_name' each, and 'annotations' "
            f"with 'image_id' and 'caption' ({type(error).__name__}: {error}). Its files of captions are called "
            "captions_train2017.json and the like."
        ) from error
    for image, file in files.items():
        for caption in captions[image] or [""]:
            yield CaptionLine(file, caption, None, own[image])
