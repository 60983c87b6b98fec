"""How large an index may become: build, memory and time of a search, and what it finds, on made-up vectors.

    python benchmarks/search.py --items 10000000 --dim 512 --out indexes/made_up

Vectors lie round 20,000 centres, some of them more often than others, and spread less and less from dimension to
dimension, as embeddings do; queries lie further from centres, and beyond a gap, as texts do from pictures. The index is
built in one process and searched in another, whose memory counts. What is found is compared with exact search.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from fusemix.machine.environment import peak_memory
from fusemix.progress import console, counting
from fusemix.search.description import Description, read_description
from fusemix.search.folder import Index
from fusemix.search.table import ABOUT, open_table
from fusemix.search.tuning import DEPTHS, exact
from fusemix.search.writer import IndexWriter

AT_ONCE = 100_000
CENTRES, GROUPS = 20_000, 200
SOUNDS = "modality = 'audio'"
RARE = 100
"""One item in so many is a sound, so that a search for sounds lets so few through."""


class MadeUp:
    """Vectors; the same whenever they are asked for.

    Args:
        dim: their width.
    """

    def __init__(self, dim: int) -> None:
        generator = np.random.default_rng(1)
        self._spectrum = (np.arange(dim) + 1.0).astype(np.float32) ** -0.5
        groups = generator.standard_normal((GROUPS, dim), dtype=np.float32)
        own = generator.standard_normal((CENTRES, dim), dtype=np.float32)
        self._centres = (groups[generator.integers(GROUPS, size=CENTRES)] + 0.8 * own) * self._spectrum
        self._gap = generator.standard_normal(dim, dtype=np.float32) * self._spectrum / 2
        self._often = np.arange(1.0, CENTRES + 1) ** -0.5
        self._often /= self._often.sum()

    def items(self, start: int, count: int) -> np.ndarray:
        """Some items."""
        generator = np.random.default_rng([2, start])
        places = generator.choice(CENTRES, size=count, p=self._often)
        return self._drawn(generator, places, 0.8, 1.0)

    def queries(self, count: int) -> np.ndarray:
        """What is asked."""
        generator = np.random.default_rng(3)
        return self._drawn(generator, generator.integers(CENTRES, size=count), 1.0, -1.0)

    def _drawn(self, generator: np.random.Generator, places: np.ndarray, spread: float, side: float) -> np.ndarray:
        rows = generator.standard_normal((len(places), len(self._gap)), dtype=np.float32)
        rows = rows * (np.float32(spread) * self._spectrum) + self._centres[places] + np.float32(side) * self._gap
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def about(start: int, count: int) -> pa.Table:
    ids = [f"photos/{start + number:09}.jpg" for number in range(count)]
    modality = ["audio" if number % RARE == 0 else "image" for number in range(start, start + count)]
    columns = [ids, modality, ids, [["a caption of some words"]] * count, [0] * count, range(start, start + count)]
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, ABOUT, strict=True)], schema=ABOUT)


def parts(num_items: int) -> Iterator[tuple[int, int]]:
    for start in range(0, num_items, AT_ONCE):
        yield start, min(AT_ONCE, num_items - start)


def build(out: Path, num_items: int, made: MadeUp, dim: int) -> None:
    sources = [{"modality": "image", "path": "photos"}, {"modality": "audio", "path": "sounds"}]
    writer = IndexWriter(out, Description({"name": "made up", "sha256": ""}, dim, sources=sources))
    with counting("items indexed", num_items) as advance:
        for start, count in parts(num_items):
            writer.add(made.items(start, count), about(start, count))
            advance(count)
    writer.finish(lambda: {"text": made.queries(2 * 64)[64:]})


def memory() -> dict[str, float]:
    """Of this process in MB: largest resident size, and now its own and its mapped pages."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    now = {key: int(status[key].split()[0]) / 1024 for key in ("RssAnon", "RssFile")}
    return {"peak": peak_memory() / 1024**2, **now}


def search(out: Path, count: int, made: MadeUp) -> None:
    """In a process of its own: open, search one query at a time with all that is shown of the hits, print JSON."""
    started = time.perf_counter()
    index = Index(out)
    found: dict[str, list[list[int]]] = {}
    figures: dict[str, object] = {"open_sec": time.perf_counter() - started, "found": found, "seconds": {}}
    for name, k, where in [*((str(k), k, None) for k in DEPTHS), ("sounds", 10, SOUNDS)]:
        seconds, found[name] = [], []
        for query in made.queries(count):
            started = time.perf_counter()
            positions = index.search(query[None], k, where).positions[0].tolist()
            index.items(positions[:20])
            seconds.append(time.perf_counter() - started)
            found[name].append(positions)
        figures["seconds"][name] = seconds  # pyright: ignore[reportIndexIssue]
    sys.stdout.write(json.dumps({**figures, **memory()}))


def changed(out: Path, made: MadeUp, num_items: int) -> dict[str, float]:
    """Seconds of adding one item, of finding it, and of removing it."""
    seconds = {}
    vector, name = made.items(7, 1), "photos/new.jpg"
    one = about(0, 1).set_column(0, "id", pa.array([name]))
    started = time.perf_counter()
    writer = IndexWriter(out, read_description(out) or sys.exit(f"{out} is no index"))
    writer.add(vector, one)
    writer.finish(dict)
    seconds["add one item, with all that a command does"] = time.perf_counter() - started
    started = time.perf_counter()
    index = Index(out)
    assert index.items([int(index.search(vector, 1).positions[0, 0])])[0]["id"] == name
    seconds["open, and find it"] = time.perf_counter() - started
    started = time.perf_counter()
    writer.remove([name])
    assert index.find(name) is None
    seconds["remove it"] = time.perf_counter() - started
    assert index.num_items == num_items
    return seconds


def told(found: dict[str, list[list[int]]], seconds: dict[str, list[float]], wanted: dict[str, np.ndarray]) -> None:
    for name, lists in found.items():
        rows = wanted[name]
        share = np.mean([len(np.intersect1d(*both)) / rows.shape[1] for both in zip(lists, rows, strict=False)])
        took = 1000 * np.array(seconds[name])
        what = f"first {name}" if name.isdecimal() else f"first 10 {name}, 1 % of the items"
        console.print(
            f"{what}: {share:.1%} of the exact ones; a query with 20 items takes {np.median(took):.1f} ms "
            f"(99th percentile {np.percentile(took, 99):.1f} ms)"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--queries", type=int, default=64)
    parser.add_argument("--out", type=Path, required=True, help="folder of the index; kept, and used again")
    parser.add_argument("--only-search", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    made = MadeUp(given.dim)
    if given.only_search:
        return search(given.out, given.queries, made)
    started = time.perf_counter()
    if not (given.out / "seals.json").is_file():
        build(given.out, given.items, made, given.dim)
        console.print(f"built in {time.perf_counter() - started:,.0f} s, peak {memory()['peak']:,.0f} MB")
    command = [sys.executable, __file__, "--out", str(given.out), "--queries", str(given.queries)]
    command += ["--dim", str(given.dim), "--only-search"]
    figures = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    table, queries = open_table(given.out), made.queries(given.queries)
    every = exact(table, queries, DEPTHS[-1])
    wanted = {**{str(k): every[:, :k] for k in DEPTHS}, "sounds": exact(table, queries, 10, SOUNDS)}
    size = sum(path.stat().st_size for path in given.out.rglob("*") if path.is_file())
    console.print(
        f"{given.items:,} items of width {given.dim}: {size / 1e9:.1f} GB on disk, float32 alone would be "
        f"{given.items * given.dim * 4 / 1e9:.1f} GB; opened in {figures['open_sec']:.2f} s"
    )
    told(figures["found"], figures["seconds"], wanted)
    console.print(
        f"memory of the searching process: peak {figures['peak']:,.0f} MB; at the end {figures['RssAnon']:,.0f} MB of "
        f"its own, {figures['RssFile']:,.0f} MB mapped from files"
    )
    for what, seconds in changed(given.out, made, given.items).items():
        console.print(f"{what}: {seconds:.2f} s")
    return None


if __name__ == "__main__":
    main()
