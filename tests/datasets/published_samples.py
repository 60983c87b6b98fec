"""Tiny copies in the layouts of COCO, Clotho, WavCaps, Visual Genome and img2dataset."""

import io
import json
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
from dataset_samples import picture, sound, write_files, write_table
from PIL import Image as PILImage

CLOTHO_HEADER = ["file_name", *(f"caption_{number}" for number in range(1, 6))]


def write_coco(folder, entries):
    """Pictures and dataset_coco.json, out of (file name, split, captions); train2014 holds train alone."""
    images = [
        {
            "filepath": "train2014" if split == "train" else "val2014",
            "filename": file,
            "split": split,
            "sentences": [{"raw": caption, "tokens": caption.lower().split()} for caption in captions],
        }
        for file, split, captions in entries
    ]
    write_files(folder / "coco", [f"{image['filepath']}/{image['filename']}" for image in images])
    path = folder / "dataset_coco.json"
    path.write_text(json.dumps({"images": images, "dataset": "coco"}), encoding="utf-8")
    return {"images": str(folder / "coco"), "annotations": str(path)}


def five_captions(name):
    return [f"{word} caption of {name}" for word in ("first", "second", "third", "fourth", "fifth")]


def write_clotho(folder, names_of, on_disk=None):
    """Three CSV files and folders of sounds, out of published split -> file names; `on_disk` renames some."""
    for split, names in names_of.items():
        rows = [[name, *five_captions(name)] for name in names]
        (folder / "csv").mkdir(parents=True, exist_ok=True)
        write_table(folder / "csv" / f"clotho_captions_{split}.csv", CLOTHO_HEADER, rows)
        write_files(folder / "wav" / split, [(on_disk or {}).get(name, name) for name in names], sound)
    return {"clips": str(folder / "wav"), "annotations": str(folder / "csv")}


WAVCAPS_FILES = {
    "FreeSound": "fsd_final.json",
    "BBC_Sound_Effects": "bbc_final.json",
    "SoundBible": "sb_final.json",
    "AudioSet_SL": "as_final.json",
}


def write_wavcaps(folder, captions_of, suffix=""):
    """JSON and flac files, out of source -> {id: caption}."""
    for source, captions in captions_of.items():
        data = [{"id": item, "caption": text, "duration": 0.1, "audio": "wav_path"} for item, text in captions.items()]
        path = folder / "json_files" / source / WAVCAPS_FILES[source]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"num_captions_per_audio": 1, "data": data}), encoding="utf-8")
        names = [f"{item.removesuffix('.wav')}.flac" for item in captions]
        write_files(folder / "audio" / f"{source}{suffix}", names, sound)
    return {"clips": str(folder / "audio"), "annotations": str(folder / "json_files")}


def region(number, phrase, box=(0, 0, 8, 6), image=1):
    """One region as published; the samples' pictures measure 8×6."""
    x, y, width, height = box
    return {
        "region_id": number,
        "width": width,
        "height": height,
        "image_id": image,
        "phrase": phrase,
        "x": x,
        "y": y,
    }


def write_visual_genome(folder, regions_of, second=()):
    """Pictures and region_descriptions.json, out of image id -> regions; ids in `second` lie in VG_100K_2."""
    write_files(folder / "vg", [f"VG_100K{'_2' if image in second else ''}/{image}.jpg" for image in regions_of])
    path = folder / "region_descriptions.json"
    path.write_text(json.dumps([{"regions": r, "id": image} for image, r in regions_of.items()]), encoding="utf-8")
    return {"images": str(folder / "vg"), "annotations": str(path)}


def gradient(path, size=(8, 6)):
    """A lossless picture no two pixels of which are alike, under a name that may say otherwise."""
    shown = PILImage.new("RGB", size)
    shown.putdata([(16 * x, 16 * y, 7) for y in range(size[1]) for x in range(size[0])])
    shown.save(path, "PNG")
    return shown


def write_tar(path, members):
    """A tar of (name, bytes or str)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            encoded = content.encode("utf-8") if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(encoded)
            tar.addfile(member, io.BytesIO(encoded))
    return path


def sample(key, caption, number=0):
    """The three members that img2dataset writes for one picture."""
    about = json.dumps({"caption": caption, "url": f"http://example.org/{key}", "key": key, "status": "success"})
    return [(f"{key}.jpg", picture(number, "JPEG")), (f"{key}.json", about), (f"{key}.txt", caption)]


TAR_SAMPLES = [("000000000", "A dog."), ("000000001", "A cat."), ("000000002", "A bus.")]


def write_samples(path, samples=TAR_SAMPLES):
    """A tar of (key, caption), each with its three members."""
    return write_tar(path, [member for key, caption in samples for member in sample(key, caption, int(key[-1]))])


def write_downloads(path, statuses):
    """The table that img2dataset writes beside a tar, out of key -> (status, error message)."""
    columns = {
        "url": [f"http://example.org/{key}" for key in statuses],
        "caption": [f"caption {key}" for key in statuses],
        "key": list(statuses),
        "status": [status for status, _ in statuses.values()],
        "error_message": [message for _, message in statuses.values()],
    }
    pq.write_table(pa.table(columns), path)


def write_img2dataset(folder, tars):
    """Tars 00000, 00001, … of (key, caption) each, with their tables."""
    for shard, samples in enumerate(tars):
        members = [member for key, caption in samples for member in sample(key, caption, int(key[-3:]))]
        write_tar(folder / f"{shard:05}.tar", members)
        write_downloads(folder / f"{shard:05}.parquet", {key: ("success", None) for key, _ in samples})
        (folder / f"{shard:05}_stats.json").write_text(json.dumps({"count": len(samples)}))
    return str(folder)
