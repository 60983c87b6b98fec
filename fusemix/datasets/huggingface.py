"""Any data set that the library `datasets` loads, with a column mapping.

Place in the flow: hub name or folder -> PairSet.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from fusemix.datasets.given_values import captions_in, id_text
from fusemix.datasets.hub import CaptionedRows, load_rows, pair_rows, revision_of, stream, undecoded
from fusemix.errors import DatasetError
from fusemix.interfaces import PairSet
from fusemix.parts.kinds import Location


def huggingface(
    *,
    split: str,
    path: Location,
    columns: dict[str, str],
    config: str | None = None,
    revision: str | None = None,
) -> PairSet:
    """A data set with one column of pictures or sounds and one of captions.

    Args:
        split: split of the data set; slices such as `train[:1000]` work.
        path: hub name, or a folder of parquet files.
        columns: what is where: `text` (a caption or a list of them), `image` or `audio`, and, where
            several rows share a picture or sound, `id`, which must tell different ones apart.
        config: configuration of the data set, where it has several.
        revision: commit, branch or tag on the hub.

    Raises:
        DatasetError: it cannot be loaded, or a column is missing.
    """
    media = set(columns) - {"text", "id"}
    if "text" not in columns or len(media) != 1 or not media <= {"image", "audio"}:
        raise DatasetError(
            "huggingface needs columns.text and one of columns.image and columns.audio (and may have columns.id), "
            f"such as columns={{image: jpg, text: caption}}; it has {columns}."
        )
    modality = media.pop()
    rows = load_rows(path, config=config, split=split, revision=revision)
    rows = undecoded(rows, columns[modality], path, modality=modality)
    ids = map(id_text, stream(rows, columns["id"], path)) if "id" in columns else map(str, range(len(rows)))
    captions = _captions(stream(rows, columns["text"], path), columns["text"], path)
    source = CaptionedRows(rows, columns[modality], ids, captions, id_column=columns.get("id"))
    return pair_rows(
        source, dataset="huggingface", revision=revision_of(rows, path, revision), split=split, modality=modality
    )


def _captions(texts: Iterator[Any], name: str, path: str) -> Iterator[Sequence[str | None]]:
    for value in texts:
        captions = value if isinstance(value, list) else [value]
        for caption in captions:
            if not isinstance(caption, str | None):
                raise DatasetError(
                    f"{path}: the column {name!r} holds no captions but {type(caption).__name__}, "
                    f"such as {str(caption)[:60]}. Name another one as dataset.options.columns.text=…"
                )
        try:
            yield captions_in(value) if isinstance(value, str) else captions
        except ValueError as error:
            raise DatasetError(
                f"{path}: in the column {name!r} a caption is {error}, in {value[:60]!r}, and must be text. Name "
                "another one as dataset.options.columns.text=…"
            ) from error
