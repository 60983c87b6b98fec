"""Small real files for the tests of the data sets: pictures, sounds, caption files, parquet in the hub's layouts."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
import yaml
from datasets import Dataset, Features, Image, List, Value
from PIL import Image as PILImage

ENCODED = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""How parquet holds an encoded picture or sound."""


def picture(seed, form="PNG"):
    """A small picture of one colour; another seed gives another colour."""
    buffer = io.BytesIO()
    PILImage.new("RGB", (8, 6), (40 * seed % 256, 90, 200)).save(buffer, form)
    return buffer.getvalue()


def sound(seed):
    """A tenth of a second of a tone as WAV; another seed gives another pitch."""
    buffer = io.BytesIO()
    time = np.arange(800) / 8000
    soundfile.write(buffer, 0.5 * np.sin(2 * np.pi * (200 + 50 * seed) * time), 8000, format="WAV")
    return buffer.getvalue()


def write_files(folder, names, make=picture):
    """One file a name, each with other content; gives the folder back as a str."""
    for seed, name in enumerate(names):
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make(seed))
    return str(folder)


def write_table(path, header, rows, separator=","):
    """A CSV or TSV file, quoted where needed."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=separator).writerows([header, *rows])
    return str(path)


def write_json_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def write_karpathy(path, entries):
    """Karpathy's layout out of (file name, split, captions)."""
    images = [
        {"filename": file, "split": split, "sentences": [{"raw": caption} for caption in captions]}
        for file, split, captions in entries
    ]
    path.write_text(json.dumps({"images": images, "dataset": "flickr30k"}), encoding="utf-8")
    return str(path)


def encoded_column(contents, names=None):
    """An arrow column of {bytes, path}, without any mark of what the bytes are."""
    names = names or [None] * len(contents)
    values = [content and {"bytes": content, "path": name} for content, name in zip(contents, names, strict=True)]
    return pa.array(values, ENCODED)


def write_parquet(path, columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def write_lmms_flickr30k(folder, rows):
    """The layout of lmms-lab/flickr30k, out of (file name, picture, captions); its one split is called test."""
    names, pictures, captions = zip(*rows, strict=True)
    features = Features(
        {
            "image": Image(),
            "caption": List(Value("string")),
            "sentids": List(Value("string")),
            "img_id": Value("string"),
            "filename": Value("string"),
        }
    )
    table = {
        "image": [{"bytes": content, "path": name} for content, name in zip(pictures, names, strict=True)],
        "caption": list(captions),
        "sentids": [[str(5 * row + k) for k in range(len(texts))] for row, texts in enumerate(captions)],
        "img_id": [str(row) for row in range(len(names))],
        "filename": list(names),
    }
    folder.mkdir(parents=True, exist_ok=True)
    Dataset.from_dict(table, features=features).to_parquet(folder / "test-00000-of-00001.parquet")
    return str(folder)


def write_retrieval(folder, modality, media, queries, judgements, *, query_config="query", splits=("test",)):
    """The layout of mteb's retrieval sets: three configurations that the head of README.md declares.

    Args:
        folder: of the copy.
        modality: `image` or `audio`, the name of the media column.
        media: id -> content.
        queries: id -> caption.
        judgements: (query id, media id, score).
        query_config: what the configuration of the captions is called.
        splits: each gets the same rows.
    """
    query_ids, media_ids, scores = zip(*judgements, strict=True)
    tables = {
        "corpus": {
            "id": list(media),
            "modality": [modality] * len(media),
            modality: encoded_column(list(media.values())),
        },
        query_config: {"id": list(queries), "modality": ["text"] * len(queries), "text": list(queries.values())},
        "qrels": {"query-id": list(query_ids), "corpus-id": list(media_ids), "score": list(scores)},
    }
    configs = []
    for name, columns in tables.items():
        files = [{"split": split, "path": f"{name}/{split}-*"} for split in splits]
        configs.append({"config_name": name, "data_files": files})
        for split in splits:
            write_parquet(folder / name / f"{split}-00000-of-00001.parquet", columns)
    (folder / "README.md").write_text(f"---\n{yaml.safe_dump({'configs': configs})}---\n# A copy\n", encoding="utf-8")
    return str(folder)


def captions_of(pairs):
    """id of each medium -> its captions, in the order of the caption table."""
    media, texts = pairs.left.table["id"].to_pylist(), pairs.right.table["caption"].to_pylist()
    found = {item: [] for item in media}
    for left, right in pairs.links.tolist():
        found[media[left]].append(texts[right])
    return found


def contents_of(items):
    """id of each item -> what `read` gives for it."""
    return {item: items.read(row) for row, item in enumerate(items.table["id"].to_pylist())}


def excluded_of(pairs):
    """(id, reason) of everything that was left out."""
    assert {rejected.stage for rejected in pairs.excluded} <= {"dataset"}
    return [(rejected.id, rejected.reason) for rejected in pairs.excluded]


PICTURES = [picture(0, "JPEG"), picture(1, "PNG"), picture(2, "PNG")]
COLUMNS = {"image": "jpg", "text": "txt"}


def write_embeddings(folder: Path, names: list[str]) -> None:
    """Pictures, and embeddings of them and of a caption each, in clip-retrieval's layout."""
    write_files(folder / "pictures", names)
    for name in ("img_emb", "text_emb"):
        (folder / name).mkdir()
        np.save(folder / name / f"{name}_0.npy", np.eye(len(names), dtype=np.float32))
    (folder / "metadata").mkdir()
    paths = [str(folder / "pictures" / name) for name in names]
    columns = {"image_path": paths, "caption": [f"picture {name}" for name in names]}
    write_parquet(folder / "metadata" / "metadata_0.parquet", columns)
