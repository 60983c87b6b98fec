"""Odd, broken and hostile files of all modalities: a table of names, files and what must become of each.

`FILES` maps a modality to its table (bad_pictures.py and bad_sounds.py make the files); `write_folder` puts
it on disk as a data set: the files in folders of their own and a caption file that describes them.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from bad_outcomes import Decoded, File, SetAside
from bad_pictures import pictures
from bad_sounds import sounds


def _kept(raw: str, text: str | None = None) -> File:
    text = raw if text is None else text
    return File(raw, Decoded((len(text), 1), text))


def texts() -> dict[str, File]:
    words = " ".join(f"word{i}" for i in range(10_000))
    empty = SetAside("the text is empty")
    no_text = SetAside("a text must be a str")
    return {
        "plain": _kept("a dog runs over the grass"),
        "space-around": _kept("\n a dog \t", "a dog"),
        "nul-inside": _kept("a dog\0runs", "a dog runs"),
        "controls": _kept("\x1b[1ma\x07 dog\x7f", "[1ma  dog"),
        "lines": _kept("a dog\nruns\tfast"),
        "emoji": _kept("a dog \U0001f436 \U0001f469\u200d\U0001f680 runs"),
        "right-to-left": _kept("\u200fكلب يجري \u202bשלום\u202c"),
        "combining": _kept("re\u0301sume\u0301"),
        "lone-surrogate": _kept("a \udcff dog", "a \ufffd dog"),
        "lone-high-surrogate": _kept("a dog \ud83d", "a dog \ufffd"),
        "split-pair": _kept("a dog \ud83d\udc36", "a dog \U0001f436"),
        "not-a-character": _kept("a \ufffe dog"),
        "10,000-words": _kept(words),
        "one-long-word": _kept("w" * 50_000),
        "only-nul": File("\0\0", empty),
        "only-nul-and-space": File(" \0\n\0 ", empty),
        "only-invisible": File("\ufeff\u200b \u200f", empty),
        "only-controls": File("\x01\x02", empty),
        "only-space": File(" \t\n", empty),
        "empty": File("", empty),
        "bytes": File(b"a dog", no_text),
        "number": File(7, no_text),
        "nothing": File(None, no_text),
    }


FILES = {"image": pictures, "audio": sounds, "text": texts}


def write_folder(folder: Path, files: Mapping[str, File]) -> Path:
    """Write files and a caption file that describes each by its name; returns the caption file."""
    (folder / "files").mkdir(parents=True)
    lines = []
    for name, file in files.items():
        (folder / "files" / name).write_bytes(file.raw)
        lines.append(json.dumps({"file": name, "caption": f"a file called {name}"}))
    captions = folder / "captions.jsonl"
    captions.write_text("\n".join(lines))
    return captions
