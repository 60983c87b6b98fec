"""What the contract tests read of the data sets that are read in their publishers' layouts."""

from dataset_samples import sound, write_files
from published_samples import (
    region,
    write_clotho,
    write_coco,
    write_img2dataset,
    write_tar,
    write_visual_genome,
    write_wavcaps,
)

SPLITS = ("train", "validation", "test")


def in_each_split(options):
    return {split: dict(options) for split in SPLITS}


def coco(folder):
    splits = ("train", "restval", "val", "test")
    entries = [(f"{n}.jpg", splits[n % 4], [f"scene {n}", f"view {n}", "a scene"]) for n in range(12)]
    options = {**write_coco(folder, entries), "check_counts": False}
    return dict.fromkeys(("train", "restval", "validation", "test"), options)


def clotho(folder):
    names = {split: [f"{split} #{n}.wav" for n in range(3)] for split in ("development", "validation", "evaluation")}
    return in_each_split({**write_clotho(folder, names), "check_counts": False})


def wavcaps(folder):
    captions = {
        source: {f"{source}{n}.wav": f"sound {n % 5}" for n in range(20)}
        for source in ("FreeSound", "BBC_Sound_Effects", "SoundBible", "AudioSet_SL")
    }
    fractions = {"train": 0.5, "validation": 0.25, "test": 0.25}
    return in_each_split({**write_wavcaps(folder, captions), "fractions": fractions})


def shards(split):
    return [[(f"{10_000 * shard + n:09}", f"{split} {n}") for n in range(3)] for shard in range(2)]


def webdataset(folder):
    for split in SPLITS:
        write_img2dataset(folder / split, shards(split))
    return in_each_split({"folder": str(folder)})


def webdataset_sounds(folder):
    write_tar(folder / "0.tar", [("a.wav", sound(0)), ("a.txt", "a bell"), ("b.wav", sound(1)), ("b.txt", "a dog")])
    return {"all": {"folder": str(folder), "modality": "audio"}}


def cc3m(folder):
    for split in ("train", "validation"):
        write_img2dataset(folder / split, shards(split))
    return {split: {"folder": str(folder)} for split in ("train", "validation")}


def sbu(folder):
    return {"train": {"folder": write_img2dataset(folder, shards("train"))}}


def visual_genome(folder):
    regions = {n: [region(10 * n + k, f"phrase {k} of {n % 7}") for k in range(3)] for n in range(1, 41)}
    fractions = {"train": 0.5, "validation": 0.25, "test": 0.25}
    return in_each_split({**write_visual_genome(folder, regions, second=range(20, 41)), "fractions": fractions})


def visual_genome_crops(folder):
    return {split: {**options, "crops": True} for split, options in visual_genome(folder).items()}


def imagenet(folder):
    names = [f"{split}/{label}/1.JPEG" for split in ("train", "val") for label in ("n01440764", "n01443537")]
    options = {
        "folder": write_files(folder / "imagenet", names),
        "class_names": {"n01440764": "tench", "n01443537": "goldfish"},
        "templates": "openai",
        "check_counts": False,
    }
    return dict.fromkeys(("train", "validation"), options)


PUBLISHED_SOURCES = {
    "coco": coco,
    "clotho": clotho,
    "imagenet": imagenet,
    "wavcaps": wavcaps,
    "webdataset, pictures": webdataset,
    "webdataset, sounds": webdataset_sounds,
    "cc3m": cc3m,
    "sbu": sbu,
    "visual_genome, pictures": visual_genome,
    "visual_genome, crops": visual_genome_crops,
}
"""As SOURCES of the contract tests."""
