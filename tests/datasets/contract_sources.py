"""A few files in the layout of each data set of the table, for the tests of what all must offer."""

from dataset_samples import (
    encoded_column,
    picture,
    sound,
    write_embeddings,
    write_files,
    write_json_lines,
    write_karpathy,
    write_lmms_flickr30k,
    write_parquet,
    write_retrieval,
    write_table,
)
from published_sources import PUBLISHED_SOURCES, SPLITS, in_each_split


def glyphs(folder):
    return in_each_split({})


def image_captions(folder):
    names = [f"{number:02}.png" for number in range(40)]
    rows = [{"file": name, "caption": [f"picture {name}", "a picture"]} for name in names]
    options = {
        "folder": write_files(folder / "pictures", names),
        "captions": write_json_lines(folder / "captions.jsonl", rows),
        "fractions": {"train": 0.5, "validation": 0.25, "test": 0.25},
    }
    return in_each_split(options)


def audio_captions(folder):
    rows = [[f"{number}.wav", f"sound {number}", "a sound", SPLITS[number % 3]] for number in range(9)]
    options = {
        "folder": write_files(folder / "sounds", [row[0] for row in rows], sound),
        "captions": write_table(folder / "c.csv", ["file_name", "caption_1", "caption_2", "split"], rows),
    }
    return in_each_split(options)


def flickr_entries():
    return [(f"{n}.jpg", ("train", "val", "test")[n % 3], [f"scene {n}", f"view {n}", "a scene"]) for n in range(9)]


def flickr30k_files(folder):
    entries = flickr_entries()
    options = {
        "images": write_files(folder / "pictures", [entry[0] for entry in entries]),
        "annotations": write_karpathy(folder / "dataset_flickr30k.json", entries),
        "check_counts": False,
    }
    return in_each_split(options)


def flickr30k_parquet(folder):
    entries = flickr_entries()
    rows = [(file, picture(row), captions) for row, (file, _, captions) in enumerate(entries)]
    options = {
        "parquet": write_lmms_flickr30k(folder / "lmms", rows),
        "annotations": write_karpathy(folder / "dataset_flickr30k.json", entries),
        "check_counts": False,
    }
    return in_each_split(options)


def flickr30k_retrieval(folder):
    media = {f"{number}.jpg": picture(number) for number in range(3)}
    queries = {f"q{number}": f"scene {number}" for number in range(6)}
    judgements = [(f"q{number}", f"{number // 2}.jpg", 1) for number in range(6)]
    parquet = write_retrieval(folder / "mteb", "image", media, queries, judgements)
    return {"test": {"parquet": parquet, "check_counts": False}}


def audiocaps_files(folder):
    header = ["audiocap_id", "youtube_id", "start_time", "caption"]
    for place, name in enumerate(("train", "val", "test")):
        rows = [[100 * place + n, f"{name}{n // 2}", 30, f"sound {n} of {name}"] for n in range(6)]
        write_table(folder / f"{name}.csv", header, rows)
        write_files(folder / "clips", [f"{name}{n}_30.wav" for n in range(3)], sound)
    return in_each_split({"clips": str(folder / "clips"), "annotations": str(folder)})


def audiocaps_parquet(folder):
    for split in SPLITS:
        columns = {
            "youtube_id": [f"{split}{n // 2}" for n in range(6)],
            "start_time": [30] * 6,
            "caption": [f"sound {n} of {split}" for n in range(6)],
            "audio": encoded_column([sound(n // 2) for n in range(6)]),
        }
        write_parquet(folder / "opensound" / f"{split}-00000-of-00001.parquet", columns)
    return in_each_split({"parquet": str(folder / "opensound")})


def huggingface(folder):
    for split in SPLITS:
        names = [f"{split}-{n}" for n in range(3)]
        columns = {
            "key": names,
            "jpg": encoded_column([picture(n, "JPEG") for n in range(3)]),
            "txt": [[f"{name} once", f"{name} twice"] for name in names],
        }
        write_parquet(folder / "pairs" / f"{split}-00000-of-00001.parquet", columns)
    options = {"path": str(folder / "pairs"), "columns": {"image": "jpg", "text": "txt", "id": "key"}}
    return in_each_split(options)


def image_classes(folder):
    names = [f"{label}/{number:02}.png" for label in ("cat", "dog") for number in range(40)]
    options = {
        "folder": write_files(folder / "pictures", names),
        "fractions": {"train": 0.5, "validation": 0.25, "test": 0.25},
    }
    return in_each_split(options)


def audio_classes(folder):
    names = [f"{split}/{label}/1.wav" for split in SPLITS for label in ("dog", "sea_waves")]
    templates = ["the sound of {}.", "{}, recorded outside."]
    return in_each_split({"folder": write_files(folder / "sounds", names, sound), "templates": templates})


def esc50(folder):
    rows = [
        [f"{fold}-{fold}{place}-A-0.wav", label] for fold in range(1, 6) for place, label in enumerate(("dog", "cat"))
    ]
    options = {
        "clips": write_files(folder / "audio", [row[0] for row in rows], sound),
        "annotations": write_table(folder / "esc50.csv", ["filename", "category"], rows),
        "check_counts": False,
    }
    return {f"fold{number}": options for number in range(1, 6)}


def clip_retrieval(folder):
    for split in SPLITS:
        write_embeddings(folder / split, [f"{split}-{number}.png" for number in range(3)])
    return {split: {"folder": str(folder / split), "dataset": "clip_retrieval"} for split in SPLITS}


def corrupted(folder):
    options_of = image_captions(folder)
    return {
        split: {
            "of": {"name": "image_captions", "options": options},
            "swapped": 0.5,
            "deleted": 0.3,
            "splits": [*SPLITS],
        }
        for split, options in options_of.items()
    }


SOURCES = {
    "clip_retrieval": clip_retrieval,
    "glyphs": glyphs,
    "spoken_glyphs": glyphs,
    "image_captions": image_captions,
    "audio_captions": audio_captions,
    "flickr30k, files": flickr30k_files,
    "flickr30k, parquet and splits": flickr30k_parquet,
    "flickr30k, retrieval layout": flickr30k_retrieval,
    "audiocaps, files": audiocaps_files,
    "audiocaps, parquet": audiocaps_parquet,
    "huggingface": huggingface,
    "image_classes": image_classes,
    "audio_classes": audio_classes,
    "esc50": esc50,
    "corrupted": corrupted,
    **PUBLISHED_SOURCES,
}
"""A data set, and what it is loaded from where there are several ways -> writer of split -> options."""
ONE_SIDED = {"images", "sounds", "texts"}
"""Data sets without partners; see test_unpaired_data.py."""
