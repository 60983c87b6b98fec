"""How much memory a pair set takes, from caption file to latent set.

    python benchmarks/memory.py [--items 1000000] [--json figures.json]

A JSONL file names as many files as captions. The files are real JPEGs under many names (hard links), so every name
is looked up as in a real folder. Of a thousand lines one names a file that is not there, one has an empty caption and
one repeats an earlier caption, so that everything is filtered and nothing passes through uncopied.

Two child processes, as in real use: one loads the pair set and writes its tables, as cache_features.py does before
it encodes; one opens the tables, as train.py does. Memory is the largest resident size of the process so far.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LINES_A_FOLDER = 10_000
WORDS = (
    "a",
    "man",
    "woman",
    "dog",
    "red",
    "bus",
    "street",
    "is",
    "on",
    "the",
    "with",
    "two",
    "near",
    "in",
    "old",
    "snow",
)


def file_name(number: int) -> str:
    return f"{number // LINES_A_FOLDER:05d}/{number:09d}.jpg"


def caption(number: int) -> str:
    """About 50 letters, as in COCO; different for every number."""
    words = (WORDS[(number >> shift) % 16] for shift in range(0, 32, 4))
    return f"{' '.join(words)} number {number}"


def write_files(folder: Path, items: int) -> None:
    from PIL import Image

    for start in range(0, items, LINES_A_FOLDER):
        picture = folder / "pictures" / f"{start // LINES_A_FOLDER:05d}.jpg"
        picture.with_suffix("").mkdir(parents=True)
        Image.new("RGB", (8, 6), (start % 256, 90, 200)).save(picture)
        for number in range(start, min(start + LINES_A_FOLDER, items)):
            if number % 1000 != 1:  # these are absent
                os.link(picture, folder / "pictures" / file_name(number))
    with (folder / "captions.jsonl").open("w", encoding="utf-8") as file:
        for number in range(items):
            text = {2: "", 3: caption(0)}.get(number % 1000, caption(number))
            file.write(json.dumps({"file": file_name(number), "caption": text}) + "\n")


def peak() -> float:
    """Largest resident size so far, in MB."""
    from fusemix.machine.environment import peak_memory

    return peak_memory() / 1e6


def build(folder: Path) -> dict[str, float]:
    import fusemix.interfaces  # noqa: F401  (brings PyTorch)

    figures = {"PyTorch imported": peak()}
    from fusemix.datasets.captioned_files import image_captions
    from fusemix.latents.set_writer import write_set

    figures["imports"] = peak()
    start = time.perf_counter()
    pairs = image_captions(split="all", folder=str(folder / "pictures"), captions=str(folder / "captions.jsonl"))
    figures |= {"pair set": peak(), "pair set, seconds": time.perf_counter() - start, "links": len(pairs.links)}
    start = time.perf_counter()
    write_set(folder / "set", pairs, {"name": "image_captions"}, overwrite=True)
    return figures | {"written": peak(), "written, seconds": time.perf_counter() - start}


def open_tables(folder: Path) -> dict[str, float]:
    from fusemix.latents.sets import LatentSet

    figures = {"imports": peak()}
    start = time.perf_counter()
    latent_set = LatentSet(folder / "set", {"image": [], "text": []})
    return figures | {"opened": peak(), "opened, seconds": time.perf_counter() - start, "links": len(latent_set.links)}


STAGES = {"build": build, "open": open_tables}


def run_stage(stage: str, folder: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--stage", stage, "--folder", str(folder)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def print_table(items: int, built: dict[str, float], opened: dict[str, float]) -> None:
    rows = [
        ("imports, PyTorch's among them", None, built["imports"], built["imports"]),
        ("pair set", built["pair set, seconds"], built["pair set"], built["imports"]),
        ("pair set written", built["written, seconds"], built["written"], built["imports"]),
        ("latent set opened", opened["opened, seconds"], opened["opened"], opened["imports"]),
    ]
    print(f"\n{items:,} captions over as many files, {int(built['links']):,} links\n")
    print("| step | seconds | peak RSS, MB | above imports, MB | MB a million items |")
    print("|---|--:|--:|--:|--:|")
    for name, seconds, top, base in rows:
        shown = "" if seconds is None else f"{seconds:,.1f}"
        print(f"| {name} | {shown} | {top:,.0f} | {top - base:,.0f} | {(top - base) / items * 1e6:,.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000, help="captions, and files")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stage:
        print(json.dumps(STAGES[arguments.stage](arguments.folder)))
        return
    with tempfile.TemporaryDirectory(prefix="fusemix-memory-") as name:
        folder = Path(name)
        print(f"writing {arguments.items:,} lines and names in {folder} …", file=sys.stderr)
        write_files(folder, arguments.items)
        built, opened = run_stage("build", folder), run_stage("open", folder)
    print_table(arguments.items, built, opened)
    if arguments.json:
        from fusemix.disk.files import write_json

        write_json(arguments.json, {"items": arguments.items, "build": built, "open": opened})


if __name__ == "__main__":
    main()
