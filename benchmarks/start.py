"""What the start of caching takes, of made-up tables with nothing behind them.

    python benchmarks/start.py [--items 5000000] [--folder EMPTY] [--json figures.json]

For a set that is sealed, and for one of which every other picture shard is there: seconds, processor seconds and peak
memory from the command to the first pass of an encoder (or to its end), each in a process of its own; and the tables as
another process of the same command maps them. Latents are four numbers wide, so that next to nothing is read of them.
Extrapolated is by the line: what grows with items, and what does not (imports).
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from memory import peak

MANY = 400_000_000
STEP, DIM = 65_536, 4
BYTES_A_LATENT, SHARD = 768 * 2, 8192


def texts(before: str, count: int, after: str) -> pa.ChunkedArray:
    """Texts of one length, which hold the numbers of the items."""
    chunks = []
    for at in range(0, count, STEP):
        numbers = pa.array(np.arange(at, min(at + STEP, count))).cast(pa.string())
        padded = pc.call_function("utf8_lpad", [numbers], pc.PadOptions(9, "0"))
        parts = [pa.scalar(before), padded, pa.scalar(after), pa.scalar("")]
        chunks.append(pc.call_function("binary_join_element_wise", parts))
    return pa.chunked_array(chunks)


def pair_set(items: int):
    from fusemix.datasets.pairs import file_reader, text_reader
    from fusemix.interfaces import Items, PairSet

    left = pa.table(
        {"id": texts("pictures/", items, ".jpg"), "path": texts("/data/somewhere/pictures/", items, ".jpg")}
    )
    left = left.append_column("num_bytes", pa.array(np.arange(items)))
    left = left.append_column("mtime_ns", pa.array(np.full(items, 1_700_000_000_000_000_000)))
    caption = texts("a man and a woman near a red bus in an old street, number ", items, "")
    right = pa.table({"id": texts("pictures/", items, ".jpg#0"), "caption": caption})
    sides = Items("image", left, file_reader(left)), Items("text", right, text_reader(right))
    return PairSet("made_up", "1", "all", *sides, links=np.repeat(np.arange(items)[:, None], 2, axis=1))


def writers(folder: Path, pairs, hashes: dict[str, str]):
    from fusemix.latents.writer import StoreWriter

    for items in pairs.sides:
        yield StoreWriter(
            folder / items.modality / "it",
            ids=items.table["id"],
            modality=items.modality,
            dim=DIM,
            dtype="float16",
            shard_size=SHARD,
            fingerprint={"encoder": {}, "decoding": {}, "items_sha256": hashes[items.modality]},
            times=items.table["mtime_ns"] if items.modality == "image" else None,
        )


def make(folder: Path, items: int) -> dict[str, float]:
    """Two sets, one of them sealed."""
    from fusemix.latents.set_writer import hashes_of, write_set

    pairs = pair_set(items)
    hashes = hashes_of(pairs)
    for state in ("sealed", "half"):
        write_set(folder / state, pairs, {"name": "made_up"}, hashes=hashes)
        for writer in writers(folder / state, pairs, hashes):
            for index, span in enumerate(writer.spans):
                if state == "sealed" or (index % 2 and writer.rows.times is not None):
                    writer.write(index, np.ones((len(span), DIM), np.float32), [], [1] * len(span))
            if state == "sealed":
                writer.seal()
    return {}


def start(folder: Path, items: int) -> dict[str, float]:
    """What cache_features.py does of a set that is there, before it encodes; step by step."""
    from fusemix.latents.set_writer import hashes_of, write_set
    from fusemix.wiring.caching.content import forget_replaced
    from fusemix.wiring.caching.filling import missing_tasks

    figures, pairs = {"imports, MB": peak()}, pair_set(items)
    figures["tables, MB"] = peak()

    def timed(name: str, work: Callable[[], object]) -> object:
        began, processor = time.perf_counter(), time.process_time()
        found = work()
        figures[f"{name}, seconds"] = time.perf_counter() - began
        figures[f"{name}, processor"] = time.process_time() - processor
        return found

    hashes: dict = timed("hashes of the tables", lambda: hashes_of(pairs))  # pyright: ignore[reportAssignmentType]
    timed("set compared", lambda: write_set(folder, pairs, {"name": "made_up"}, hashes=hashes))
    found: list = timed("stores opened", lambda: list(writers(folder, pairs, hashes)))  # pyright: ignore[reportAssignmentType]
    for side, writer in zip(pairs.sides, found, strict=True):
        name = f"times of {side.modality} compared"
        timed(name, lambda s=side, w=writer: forget_replaced(folder, s, {"it": w}, everything=False))
        timed(
            f"plan for {side.modality}",
            lambda w=writer: [w.parts.done(w.index_of(t.rows)) for t in missing_tasks({"it": w})],
        )
    return figures | {"peak, MB": peak()}


def join(folder: Path, items: int) -> dict[str, float]:
    """What another process of the same command does for its tables; the first one has written them down."""
    from fusemix.interfaces import Items
    from fusemix.wiring.caching.handing import handing, taken

    pairs = pair_set(items)
    with handing(folder, pairs.sides) as handed:
        before, began = pa.total_allocated_bytes(), time.perf_counter()
        sides: list[Items] = [taken(one) for one in handed or ()]
        figures = {
            "mapped, seconds": time.perf_counter() - began,
            "mapped, MB": (pa.total_allocated_bytes() - before) / 1e6,
        }
        return figures | {"of them on disk, MB": sum(side.table.nbytes for side in sides) / 1e6}


STAGES = {"make": make, "start": start, "join": join}


def run(stage: str, folder: Path, items: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--stage", stage, "--folder", str(folder), "--items", str(items)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.splitlines()[-1])


def show(items: int, figures: dict[str, dict[str, float]]) -> None:
    for state, found in figures.items():
        print(f"\n{items:,} pictures and as many captions, {state}\n")
        print(f"| step | measured | by the line, of {MANY:,} |\n|---|--:|--:|")
        for name, value in found.items():
            fixed = figures["sealed"]["imports, MB"] if name.endswith("MB") and state in ("sealed", "half") else 0.0
            print(f"| {name} | {value:,.1f} | {fixed + (value - fixed) * MANY / items:,.0f} |")
    shards = -(-MANY // SHARD)
    size = MANY * BYTES_A_LATENT / 1e9
    print(f"\n{MANY:,} items: {shards:,} shards a store, {size:,.0f} GB of latents of 768 × float16")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=5_000_000)
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help="to work in, instead of a temporary one")
    arguments = parser.parse_args()
    if arguments.stage:
        print(json.dumps(STAGES[arguments.stage](arguments.folder, arguments.items)))
        return
    with tempfile.TemporaryDirectory(prefix="fusemix-start-", dir=arguments.folder) as name:
        folder = Path(name)
        run("make", folder, arguments.items)
        figures = {state: run("start", folder / state, arguments.items) for state in ("sealed", "half")}
        figures["tables in another process"] = run("join", folder, arguments.items)
    show(arguments.items, figures)
    if arguments.json:
        from fusemix.disk.files import write_json

        write_json(arguments.json, {"items": arguments.items, **figures})


if __name__ == "__main__":
    main()
