"""What caching loses beside other jobs: busy loops, and threads that spin or sleep while they wait.

    python benchmarks/busy.py [--loops N] [--seconds N] [--rounds N]

Each way of waiting has a process of its own, since OpenMP reads it once. They encode the same pictures in turns, first
as the machine is and then with busy loops beside, so that ratios of one run can be compared, whatever else goes on.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.table import Table

from fusemix.progress import console

WAYS = {"spinning (OpenMP's default)": {}, "sleeping (fusemix)": {"OMP_WAIT_POLICY": "passive"}}
SIZES = (4, 16)
LOOP = "while True: pass"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loops", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--encode", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.encode:
        encode(arguments.encode)
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder), arguments)


def compare(folder: Path, arguments: argparse.Namespace) -> None:
    processes = {way: started(folder / str(number), variables) for number, (way, variables) in enumerate(WAYS.items())}
    table = Table(title="pictures a second, MobileNetV2, best of rounds", title_justify="left")
    for name in ("waiting threads are", "batch", "as the machine is", f"{arguments.loops} busy loops beside", "CPU ms"):
        table.add_column(name, justify="right" if table.columns else "left")
    alone = rates(processes, arguments)
    loops = [subprocess.Popen([sys.executable, "-c", LOOP]) for _ in range(arguments.loops)]
    try:
        beside = rates(processes, arguments)
    finally:
        for loop in loops:
            loop.kill()
    for (way, size), (rate, _) in alone.items():
        busy_rate, cpu = beside[way, size]
        table.add_row(way, str(size), f"{rate:.1f}", f"{busy_rate:.1f}", f"{1000 * cpu:.0f}")
    console.print(table)
    for process in processes.values():
        process.terminate()


def started(folder: Path, variables: dict[str, str]) -> subprocess.Popen[str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "KMP_"))}
    command = [sys.executable, __file__, "--encode", str(folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, env={**plain, **variables}, **pipes)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def rates(
    processes: dict[str, subprocess.Popen[str]], arguments: argparse.Namespace
) -> dict[tuple[str, int], tuple[float, float]]:
    """(way, batch size) -> pictures a second, and CPU seconds a picture: the best of all rounds."""
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for _ in range(arguments.rounds):
        for size in SIZES:
            for way, process in processes.items():
                assert process.stdin is not None and process.stdout is not None
                print(size, arguments.seconds, file=process.stdin, flush=True)
                found.setdefault((way, size), []).append(tuple(json.loads(process.stdout.readline())))
    return {key: (max(rate for rate, _ in some), min(cpu for _, cpu in some)) for key, some in found.items()}


def encode(folder: Path) -> None:
    """Answer each line of a batch size and seconds with what was reached in that time."""
    import numpy as np
    import torch
    from models import mobilenet
    from PIL import Image

    from fusemix.encoders import ENCODERS
    from fusemix.machine.environment import prepare_device

    model = mobilenet(folder)
    encoder = ENCODERS.build(model["family"], {"model": model["model"], "pooling": model["pooling"]})
    prepare_device(torch.device("cpu"))
    pixels = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    batches = {size: encoder.collate(encoder.prepare([Image.fromarray(pixels)] * size)) for size in SIZES}
    print("ready", flush=True)
    for line in sys.stdin:
        size, seconds = line.split()
        began, computed, count = time.perf_counter(), time.process_time(), 0
        with torch.inference_mode():
            while time.perf_counter() - began < float(seconds):
                encoder.encode(batches[int(size)])
                count += int(size)
        passed = time.perf_counter() - began
        print(json.dumps([count / passed, (time.process_time() - computed) / count]), flush=True)


if __name__ == "__main__":
    main()
