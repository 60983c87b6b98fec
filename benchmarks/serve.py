"""How many searches a second `fusemix serve` answers, and how long each waits, with and without batching.

    python benchmarks/serve.py [--index FOLDER] [--clients N] [--seconds N] [--json FILE]

Each client is a thread that sends a text query, waits for the answer, and sends the next; texts are drawn from 5,000
different ones. The server is a process of its own: the real application on the real Searcher, with its HTTP, on a free
port. It runs three times on the same machine: as it is, with batches of one query, and as it is while others hold
connections, on which they say nothing, or begin a body that they never end. Any answer but 200 to a client is an error,
and an error fails the benchmark.

Without --index one is made up: 50,000 random vectors of width 512 for pictures that do not exist, searched exactly, by
the text encoder of `benchmarks/models.py` (all-MiniLM-L6-v2 where it is installed) with an adapter that hardly learned.
"""

import argparse
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from models import WORDS, minilm
from PIL import Image
from rich.table import Table

NUM_TEXTS = 5_000
NUM_PICTURES = 64
NUM_ITEMS = 50_000
DIM = 512
RESULTS = 20
WARM_SEC = 3


class Load(NamedTuple):
    """What the clients saw: milliseconds of each answer, errors, and the seconds it all took."""

    waited: list[float]
    errors: list[str]
    seconds: float


def main() -> None:
    arguments = parsed()
    if arguments.child:
        serve(arguments.index, arguments.child)
        return
    with tempfile.TemporaryDirectory() as folder:
        where = arguments.index or made_up(Path(folder))
        figures = {
            name: measured(where, together, beside, arguments)
            for name, together, beside in (
                ("batched", "many", False),
                ("one by one", "one", False),
                ("beside others", "many", True),
            )
        }
    show(figures, arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    if any(each["errors"] for each in figures.values()):
        raise SystemExit("some requests failed")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--index", type=Path, help="an index of your own, instead of a made-up one")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60, help="each of the three runs")
    parser.add_argument(
        "--stalled", type=int, default=8, help="bodies that are begun and never ended, in the third run"
    )
    parser.add_argument("--silent", type=int, default=1_100, help="connections that say nothing, in the third run")
    parser.add_argument("--json", type=Path, help="file that receives the figures")
    parser.add_argument("--child", choices=("many", "one"), help=argparse.SUPPRESS)
    return parser.parse_args()


def made_up(folder: Path) -> Path:
    """A small run, and an index of its own few pictures and many that do not exist."""
    from fusemix.cli.called import run_command

    chance = random.Random(0)
    captions = [" ".join(chance.choices(WORDS, k=6)) for _ in range(NUM_PICTURES)]
    (folder / "pictures").mkdir()
    for number in range(NUM_PICTURES):
        Image.effect_noise((48, 48), 10 + number).save(folder / "pictures" / f"{number}.png")
    lines = ["file,caption", *(f"{number}.png,{caption}" for number, caption in enumerate(captions))]
    (folder / "pictures" / "captions.csv").write_text("\n".join(lines))
    text = minilm(folder)
    pictures = f"folder: '{folder / 'pictures'}', captions: '{folder / 'pictures' / 'captions.csv'}'"
    encoder = f"{{name: {text['family']}, options: {{model: '{text['model']}', pooling: {text['pooling']}}}}}"
    run_command(
        "cache_features",
        [
            f"dataset={{name: image_captions, options: {{{pictures}}}}}",
            "encoders.hog={name: hog}",
            f"encoders.minilm={encoder}",
            *("splits=[all]", "num_workers=0", f"out={folder / 'latents'}"),
        ],
    )
    latents, run, out = folder / "latents" / "all", folder / "run", folder / "index"
    optim = "optim={batch_size: 16, max_epochs: 1, warmup_steps: 1}"
    which = "encoders={image: [hog], text: [minilm]}"
    run_command(
        "train",
        [f"train={latents}", which, "holdout=0.2", optim, "mixup.name=none", f"embedding_dim={DIM}", f"out={run}"],
    )
    run_command("index", ["--model", str(run), "--latents", str(latents), "--out", str(out)])
    add_made_up(out)
    return out


def add_made_up(out: Path) -> None:
    from fusemix.search.description import read_description
    from fusemix.search.table import ABOUT
    from fusemix.search.writer import IndexWriter

    description = read_description(out)
    assert description is not None
    vectors = np.random.default_rng(0).standard_normal((NUM_ITEMS, DIM), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = np.pad(vectors, ((0, 0), (0, description.width - DIM)))  # nothing is added to their scores
    columns = {
        "id": [f"made up/{number}" for number in range(NUM_ITEMS)],
        "modality": ["image"] * NUM_ITEMS,
        "path": [None] * NUM_ITEMS,
        "captions": [["a picture that does not exist"]] * NUM_ITEMS,
        "source": [0] * NUM_ITEMS,
        "row": list(range(NUM_ITEMS)),
    }
    writer = IndexWriter(out, description)
    writer.add(vectors, pa.table(columns, schema=ABOUT))
    writer.finish(dict)


def serve(index: Path, together: str) -> None:
    """The server's process: says its port, and ends when its input does."""
    from fusemix.models.queries import Query
    from fusemix.web.app import create_app
    from fusemix.web.batching import MOST_TOGETHER, Batcher
    from fusemix.web.hosts import LOCAL
    from fusemix.web.server import bound, run
    from fusemix.wiring.searching.searcher import Searcher

    searcher = Searcher(index)
    searcher.load()
    searcher.embed([Query("text", "a first query")])
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    with (
        bound("127.0.0.1", 0) as listening,
        Batcher(searcher, MOST_TOGETHER if together == "many" else 1) as batcher,
    ):
        app = create_app(batcher, max_upload_mb=20, hosts=LOCAL)
        run(app, listening, lambda: print(listening.getsockname()[1], flush=True))


@contextmanager
def held(port: int, stalled: int, silent: int) -> Iterator[None]:
    """Connections that are there, and ask nothing; what the server closes is opened again."""
    begun = b"POST /api/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\n{"
    said = [begun] * stalled + [b""] * silent
    connections: list[socket.socket | None] = [None] * len(said)
    is_over = threading.Event()

    def keep() -> None:
        while not is_over.wait(0.2):
            for place, words in enumerate(said):
                if (there := connections[place]) is None or is_closed(there):
                    connections[place] = opened(port, words)

    thread = threading.Thread(target=keep)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
        for connection in filter(None, connections):
            connection.close()


def opened(port: int, words: bytes) -> socket.socket | None:
    try:
        connection = socket.create_connection(("127.0.0.1", port), timeout=1)
        connection.sendall(words)
        connection.setblocking(False)
    except OSError:
        return None
    return connection


def is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(65_536) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def measured(index: Path, together: str, beside: bool, arguments: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", together, "--index", str(index)]
    waits = {**os.environ, "OMP_WAIT_POLICY": "passive"}  # as `fusemix serve` sets it
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=waits) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        load(port, arguments.clients, WARM_SEC)
        with held(port, arguments.stalled, arguments.silent) if beside else nullcontext():
            found = load(port, arguments.clients, arguments.seconds)
        server.communicate()
    spread = statistics.quantiles(found.waited, n=100)
    return {
        "requests": len(found.waited) + len(found.errors),
        "errors": len(found.errors),
        "first_errors": found.errors[:3],
        "requests_per_sec": len(found.waited) / found.seconds,
        "median_ms": spread[49],
        "p99_ms": spread[98],
    }


def load(port: int, clients: int, seconds: float) -> Load:
    """All clients at once."""
    texts = made_up_texts()
    waited: list[float] = []
    errors: list[str] = []
    began = time.perf_counter()
    threads = [
        threading.Thread(target=client, args=(port, random.Random(seed), texts, began + seconds, waited, errors))
        for seed in range(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Load(waited, errors, time.perf_counter() - began)


def client(
    port: int, chance: random.Random, texts: list[str], until: float, waited: list[float], errors: list[str]
) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.connect()
    assert connection.sock is not None
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while (started := time.perf_counter()) < until:
        body = json.dumps({"text": chance.choice(texts), "k": RESULTS})
        try:
            connection.request("POST", "/api/search", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            found = json.loads(answer.read())
            if answer.status != 200 or len(found["results"]) != RESULTS:
                errors.append(f"{answer.status}: {found}"[:300])
                continue
        except (OSError, HTTPException, ValueError) as error:
            errors.append(repr(error))
            connection.close()
            continue
        waited.append(1000 * (time.perf_counter() - started))
    connection.close()


def made_up_texts() -> list[str]:
    chance = random.Random(0)
    return [" ".join(chance.choices(WORDS, k=chance.randint(3, 16))) for _ in range(NUM_TEXTS)]


def show(figures: dict[str, dict[str, Any]], arguments: argparse.Namespace) -> None:
    from fusemix.machine.environment import device_name
    from fusemix.progress import console

    console.print(f"{device_name('cpu')}, {arguments.clients} clients at once, {arguments.seconds:g} s each")
    drawn = Table(box=None)
    for name in ("", "requests", "errors", "a second", "median ms", "99th percentile ms"):
        drawn.add_column(name, justify="right" if name else "left")
    for name, each in figures.items():
        cells = (f"{each[key]:,.1f}" for key in ("requests_per_sec", "median_ms", "p99_ms"))
        drawn.add_row(name, f"{each['requests']:,}", str(each["errors"]), *cells)
    batched, alone = figures["batched"], figures["one by one"]
    keys = ("requests_per_sec", "median_ms", "p99_ms")
    ratios = [f"{batched[key] / alone[key]:.2f}" for key in keys]
    drawn.add_row("ratio", "", "", *ratios)
    console.print(drawn)


if __name__ == "__main__":
    main()
