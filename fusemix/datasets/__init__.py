"""Data sets: what is paired with what. One file a data set; each has a line in the table below.

Place in the flow: raw data on disk or on a hub -> PairSet.
A factory is called as `factory(split=…, **options)` and returns a PairSet.
"""

from fusemix.parts.registry import Registry

DATASETS = Registry(
    "data set",
    {
        "audio_captions": "fusemix.datasets.captioned_files:audio_captions",
        "audio_classes": "fusemix.datasets.classes:audio_classes",
        "audiocaps": "fusemix.datasets.audiocaps:audiocaps",
        "cc3m": "fusemix.datasets.webdataset:cc3m",
        "clip_retrieval": "fusemix.wiring.caching.import_latents:clip_retrieval",
        "clotho": "fusemix.datasets.clotho:clotho",
        "coco": "fusemix.datasets.coco:coco",
        "corrupted": "fusemix.datasets.corrupted:corrupted",
        "esc50": "fusemix.datasets.esc50:esc50",
        "flickr30k": "fusemix.datasets.flickr30k:flickr30k",
        "glyphs": "fusemix.datasets.glyphs:glyphs",
        "huggingface": "fusemix.datasets.huggingface:huggingface",
        "image_captions": "fusemix.datasets.captioned_files:image_captions",
        "image_classes": "fusemix.datasets.classes:image_classes",
        "images": "fusemix.datasets.unpaired:images",
        "imagenet": "fusemix.datasets.imagenet:imagenet",
        "sounds": "fusemix.datasets.unpaired:sounds",
        "spoken_glyphs": "fusemix.datasets.spoken_glyphs:spoken_glyphs",
        "texts": "fusemix.datasets.unpaired:texts",
        "sbu": "fusemix.datasets.webdataset:sbu",
        "visual_genome": "fusemix.datasets.visual_genome:visual_genome",
        "wavcaps": "fusemix.datasets.wavcaps:wavcaps",
        "webdataset": "fusemix.datasets.webdataset:webdataset",
    },
    given=["split"],
    earlier={
        "fusemix.build.import_latents:clip_retrieval": "clip_retrieval",
        "fusemix.build.import_latents:clip_retrieval_pairs": "clip_retrieval",
    },
)
