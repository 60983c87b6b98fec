"""All that is to be known of fusemix on a GPU, in under five minutes: is it right, how fast, in how much memory.

    python benchmarks/gpu.py [--tiny] [--budget SECONDS] [--only PART …] [--skip PART …] [--markdown FILE]

From a checkout, beside torch, lightning and transformers; nothing is fetched, and a part that needs a package which is
missing says so. Each part is a process of its own, so that a crash, an illegal access, a lack of memory or a hang costs
that part alone. It prints one line of JSON as soon as it ends: {"part": …, "ok": …, "sec": …, …}. `ok` is null where
the part did not run, and `skipped` says why; where it is false, `failed` or `error` do. Parts come in the order of
their importance; those that no longer fit into the budget are left out. The exit status is 1 where a part failed.

--tiny makes everything small enough for a CPU: it checks the parts, not the GPU. --markdown writes the figures, with
the device's name and versions, between two marks of a file, such as docs/gpu.md.
"""

import os

os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")  # whether there is a GPU is asked without spoiling forks
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import argparse
import json
import math
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

Line = dict[str, Any]
LEAST_SEC = 8.0
"""What a part needs at least, most of it for the device to wake."""
BUDGET_SEC = 280.0


class Part(NamedTuple):
    """What is looked at, and how many seconds it may take."""

    work: Callable[[], Line]
    seconds: float


def tidy(value: Any) -> Any:
    """Numbers with four digits, and words in place of what JSON has no word for."""
    if isinstance(value, Mapping):
        return {str(key): tidy(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [tidy(one) for one in value]
    if isinstance(value, float):
        return float(f"{value:.4g}") if math.isfinite(value) else str(value)
    return value if isinstance(value, str | int | None) else str(value)


def line_of(name: str, work: Callable[[], Line]) -> Line:
    """What a part found, or how it failed."""
    began = time.monotonic()
    try:
        found = work()
        ok = None if "skipped" in found else found.pop("ok", True)
    except BaseException as error:  # whatever it is: one part must not end the others
        where = [text.strip() for text in traceback.format_exc().splitlines()[-7:-1]]
        ok, found = False, {"error": f"{type(error).__name__}: {str(error)[:300]}", "where": where}
    return tidy({"part": name, "ok": ok, "sec": round(time.monotonic() - began, 1), **found})


def in_child(name: str, work: Callable[[], Line], limit: float) -> Line:
    """Fork, run, and read one line; what is not there in time is ended, with all that it started."""
    reading, writing = os.pipe()
    began, child = time.monotonic(), os.fork()
    if child == 0:
        os.close(reading)
        os.setpgid(0, 0)
        os.dup2(2, 1)  # what fusemix prints goes to stderr: stdout is for the lines alone
        with os.fdopen(writing, "w") as file:
            file.write(json.dumps(line_of(name, work)))
        os._exit(0)
    os.close(writing)
    try:
        text = _read(reading, began + limit)
    finally:
        os.close(reading)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    with suppress(ValueError):
        return json.loads(text)
    spent, late = time.monotonic() - began, time.monotonic() - began >= limit
    how = f"took more than {limit:.0f} s" if late else f"ended without a word, {_ending(status)}"
    return tidy({"part": name, "ok": False, "sec": round(spent, 1), "error": how})


def _read(reading: int, until: float) -> bytes:
    text = b""
    while (left := until - time.monotonic()) > 0:
        if select.select([reading], [], [], min(left, 0.2))[0]:
            chunk = os.read(reading, 1 << 16)
            if not chunk:
                break
            text += chunk
    return text


def _ending(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"by {signal.Signals(-code).name}" if code < 0 else f"with status {code}"


def run(parts: Mapping[str, Part], budget: float, began: float, *, in_process: bool = False) -> Iterator[Line]:
    """One line a part, in their order.

    Args:
        parts: by name.
        budget: seconds for all of them.
        began: when it began to run down, by the monotonic clock.
        in_process: run them here; nothing guards them then.
    """
    for name, part in parts.items():
        left = budget - (time.monotonic() - began)
        if left < min(LEAST_SEC, part.seconds):
            yield {"part": name, "ok": None, "sec": 0.0, "skipped": "no time left"}
        elif in_process:
            yield line_of(name, part.work)
        else:
            yield in_child(name, part.work, min(left, part.seconds))


def failures(lines: Iterable[Line]) -> list[str]:
    """Parts that did not end as they should; one that did not run is none."""
    return [line["part"] for line in lines if line["ok"] is False]


def main() -> None:
    began = time.monotonic()
    sys.path.insert(1, str(Path(__file__).resolve().parents[1]))  # behind this folder: train is benchmarks/train.py
    from gpu_parts import PARTS

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="small enough for a CPU")
    parser.add_argument("--budget", type=float, default=BUDGET_SEC, help="seconds for everything")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--skip", nargs="+", choices=PARTS, default=[])
    parser.add_argument("--in-process", action="store_true", help="do not fork, for a debugger")
    parser.add_argument("--markdown", type=Path, help="file whose part between two marks is written again")
    given = parser.parse_args()
    chosen = {name: about for name, about in PARTS.items() if name in given.only and name not in given.skip}
    folder = Path(tempfile.mkdtemp(prefix="fusemix-gpu-"))
    try:
        from gpu_parts.missing import stand_in
        from gpu_parts.preparing import prepare

        missing = stand_in()
        context = prepare(given.tiny, folder, missing)
        parts = {
            name: Part(lambda where=where: _look_up(where)(context), 4 * seconds if given.tiny else seconds)
            for name, (where, seconds) in chosen.items()
        }
        print(
            json.dumps({"part": "imports", "ok": True, "sec": round(time.monotonic() - began, 1), "missing": missing})
        )
        lines = []
        for line in run(parts, given.budget, began, in_process=given.in_process):
            lines.append(line)
            print(json.dumps(line, ensure_ascii=False), flush=True)
        if given.markdown:
            from gpu_parts.markdown import write_section

            write_section(given.markdown, lines, tiny=given.tiny)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    failed = failures(lines)
    print(json.dumps({"part": "total", "ok": not failed, "sec": round(time.monotonic() - began, 1), "failed": failed}))
    sys.exit(1 if failed else 0)


def _look_up(where: str) -> Callable[[Any], Line]:
    module, _, function = where.partition(":")
    return getattr(import_module(f"gpu_parts.{module}"), function)


if __name__ == "__main__":
    main()
