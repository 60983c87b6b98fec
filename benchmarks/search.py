"""How large an index may become: build, memory and time of a search, and what it finds, on made-up vectors.

    python benchmarks/search.py --items 10000000 --dim 512 --out indexes/made_up

Vectors are drawn round centres, as embeddings of pictures of like kind lie together. The index is built in one process
and searched in another, whose memory counts. What is found is compared with exact search over all items.
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
from fusemix.search.description import Description
from fusemix.search.folder import Index
from fusemix.search.items import SCHEMA
from fusemix.search.writer import IndexWriter

AT_ONCE = 100_000
CENTRES = 4096
SPREAD = 1.0


def drawn(start: int, count: int, dim: int) -> np.ndarray:
    """Unit vectors of items; the same whenever they are asked for."""
    centres = np.random.default_rng(1).standard_normal((CENTRES, dim), dtype=np.float32)
    generator = np.random.default_rng([2, start])
    rows = generator.standard_normal((count, dim), dtype=np.float32) * np.float32(SPREAD)
    rows += centres[generator.integers(CENTRES, size=count)]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def queries_for(count: int, dim: int) -> np.ndarray:
    """Queries lie round the same centres, further from them than items, as texts do from pictures."""
    centres = np.random.default_rng(1).standard_normal((CENTRES, dim), dtype=np.float32)
    generator = np.random.default_rng(3)
    rows = centres[generator.integers(CENTRES, size=count)]
    rows = rows + 1.5 * np.float32(SPREAD) * generator.standard_normal((count, dim), dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def table(start: int, count: int) -> pa.Table:
    ids = [f"photos/{start + number:09}.jpg" for number in range(count)]
    columns = [
        ids,
        ["image"] * count,
        ids,
        [["a caption of some words"]] * count,
        [0] * count,
        range(start, start + count),
    ]
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)


def parts(num_items: int) -> Iterator[tuple[int, int]]:
    for start in range(0, num_items, AT_ONCE):
        yield start, min(AT_ONCE, num_items - start)


def build(out: Path, num_items: int, dim: int) -> None:
    writer = IndexWriter(out, Description({"name": "made up", "sha256": ""}, dim))
    sample = queries_for(256, dim)
    with counting("items indexed", num_items) as advance:
        for start, count in parts(num_items):
            writer.add(drawn(start, count, dim), table(start, count), sample)
            advance(count)
    writer.finish()


def exact(num_items: int, dim: int, queries: np.ndarray, k: int) -> np.ndarray:
    """Positions of the first k by comparing every item, part by part."""
    scores, positions = np.full((len(queries), k), -np.inf, np.float32), np.zeros((len(queries), k), np.int64)
    for start, count in parts(num_items):
        found = queries @ drawn(start, count, dim).T
        best = np.argpartition(-found, k, axis=1)[:, :k]
        scores = np.concatenate([scores, np.take_along_axis(found, best, axis=1)], axis=1)
        positions = np.concatenate([positions, best + start], axis=1)
        order = np.argsort(-scores, axis=1)[:, :k]
        scores, positions = np.take_along_axis(scores, order, axis=1), np.take_along_axis(positions, order, axis=1)
    return positions


def memory() -> dict[str, float]:
    """Of this process in MB: largest resident size, and now its own and its mapped pages."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    now = {key: int(status[key].split()[0]) / 1024 for key in ("RssAnon", "RssFile")}
    return {"peak": peak_memory() / 1024**2, **now}


def search(out: Path, count: int, k: int) -> None:
    """In a process of its own: open, search one query at a time with all that is shown of the hits, print JSON."""
    started = time.perf_counter()
    index = Index(out)
    opened = time.perf_counter() - started
    seconds, positions = [], []
    for query in queries_for(count, index.dim):
        started = time.perf_counter()
        found = index.search(query[None], k)
        index.items(found.positions[0].tolist())
        seconds.append(time.perf_counter() - started)
        positions.append(found.positions[0].tolist())
    started = time.perf_counter()
    middle = index.num_items // 2
    assert index.find(index.items([middle])[0]["id"]) == middle
    found_id = time.perf_counter() - started
    figures = {"open_sec": opened, "id_sec": found_id, "seconds": seconds, "positions": positions, **memory()}
    sys.stdout.write(json.dumps(figures))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--compared", type=int, default=100, help="queries that are searched exactly, too")
    parser.add_argument("--out", type=Path, required=True, help="folder of the index; kept, and used again")
    parser.add_argument("--only-search", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only_search:
        return search(given.out, given.queries, 10)
    started = time.perf_counter()
    if not (given.out / "index.json").is_file() or Index(given.out).num_items < given.items:
        build(given.out, given.items, given.dim)
        console.print(f"built in {time.perf_counter() - started:,.0f} s, peak {memory()['peak']:,.0f} MB")
    command = [sys.executable, __file__, "--out", str(given.out), "--queries", str(given.queries), "--only-search"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    wanted = exact(given.items, given.dim, queries_for(given.queries, given.dim)[: given.compared], 10)
    shares = [len(set(a) & set(b)) / 10 for a, b in zip(found["positions"], wanted.tolist(), strict=False)]
    size = sum(path.stat().st_size for path in given.out.rglob("*") if path.is_file())
    milliseconds = 1000 * np.array(found["seconds"])
    for line in (
        f"{given.items:,} items of width {given.dim}: {size / 1e9:.1f} GB on disk, float32 alone would be "
        f"{given.items * given.dim * 4 / 1e9:.1f} GB; opened in {found['open_sec']:.2f} s",
        f"{given.queries} queries, one at a time, with their items: median {np.median(milliseconds):.1f} ms, "
        f"99th percentile {np.percentile(milliseconds, 99):.1f} ms; an id is found in {1000 * found['id_sec']:.0f} ms",
        f"found of the exact first ten: {np.mean(shares):.1%}",
        f"memory of the searching process: peak {found['peak']:,.0f} MB; at the end {found['RssAnon']:,.0f} MB of "
        f"its own, {found['RssFile']:,.0f} MB mapped from files",
    ):
        console.print(line)
    return None


if __name__ == "__main__":
    main()
