"""Python programs in processes of their own, forked from one that has imported already what takes seconds.

    python tests/forking.py SOCKET

Place in the flow: programs.py asks -> here a process becomes the program: `train.py …`, `-c …` or `-m …`, with the
folder, the environment and the streams of who asks -> who asks is told its process id, and how it ended.

The server has one thread, and never runs a program itself. Between it and each program there is a process that waits
for the program's end. A program ends as any other does, but that its memory is given back at once.
Not here: anything that looks at what a start imports. That needs an interpreter of its own.
"""

import atexit
import gc
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

ROOT = Path(__file__).parents[1]
STREAMS = 3
LARGEST_REQUEST = 1 << 20
SLOW = ["lightning.pytorch", "transformers", "matplotlib.figure", "faiss", "fusemix.commands.cache_features"]
SLOW += [f"fusemix.commands.{name}" for name in ("train", "eval_retrieval", "index", "search", "serve", "info")]


def serve(path: str) -> dict[str, Any] | None:
    """Fork for whoever asks, until all that hold on to this server have let go.

    Returns:
        In a forked process what it is to become; in the server itself, at its end, None.
    """
    with socket.socket(socket.AF_UNIX) as listening, selectors.DefaultSelector() as waiting:
        listening.bind(path)
        listening.listen()
        waiting.register(listening, selectors.EVENT_READ)
        os.write(1, b"ready\n")
        holders = None
        while holders is None or holders > 0:
            for key, _ in waiting.select():
                if key.fileobj is not listening:
                    waiting.unregister(key.fileobj)
                    key.fileobj.close()
                    holders -= 1
                    continue
                asking, _ = listening.accept()
                data, streams = _received(asking)
                if not streams:
                    waiting.register(asking, selectors.EVENT_READ)
                    holders = (holders or 0) + 1
                    continue
                if _forked(asking, streams, [listening, *(k.fileobj for k in waiting.get_map().values())]):
                    return json.loads(data)
                _reap()
    return None


def _received(asking: socket.socket) -> tuple[bytes, list[int]]:
    """A request, up to the end of its line, and its streams; who only wants to hold on sends an empty line."""
    data, streams, _, _ = socket.recv_fds(asking, LARGEST_REQUEST, STREAMS)
    while not data.endswith(b"\n"):
        data += asking.recv(LARGEST_REQUEST)
    return data, streams


def _forked(asking: socket.socket, streams: Sequence[int], others: Sequence[Any]) -> bool:
    """Whether this is the process that becomes the program."""
    if os.fork():
        asking.close()
        for stream in streams:
            os.close(stream)
        return False
    for other in others:
        other.close()
    program = os.fork()
    if program == 0:
        asking.close()
        _take(streams)
        return True
    for stream in streams:
        os.close(stream)
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(STREAMS):
        os.dup2(null, number)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _tell(asking, program)
    _, status = os.waitpid(program, 0)
    _tell(asking, os.waitstatus_to_exitcode(status))
    os._exit(0)


def _take(streams: Sequence[int]) -> None:
    """Let streams be those of this process."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)


def _open_streams() -> None:
    """As the interpreter does."""
    how = {"encoding": os.environ.get("PYTHONIOENCODING"), "closefd": False}
    sys.stdin = sys.__stdin__ = os.fdopen(0, **how)
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", **how)
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", errors="backslashreplace", buffering=1, **how)


def _tell(asking: socket.socket, number: int) -> None:
    with suppress(OSError):  # who asked is gone
        asking.sendall(b"%d\n" % number)


def _reap() -> None:
    """Take note of processes that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def become(wanted: dict[str, Any], paths: Sequence[str]) -> None:
    """Run a program in this process as the interpreter would.

    Args:
        wanted: `arguments` behind the interpreter's name, `cwd`, and `environment`.
        paths: where modules are looked for behind what the program itself says.
    """
    os.chdir(wanted["cwd"])
    os.environ.clear()
    os.environ.update(wanted["environment"])
    _open_streams()
    first, *rest = wanted["arguments"]
    own = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    if first == "-c":
        sys.argv, sys.path[:] = ["-c", *rest[1:]], ["", *own, *paths]
        main = sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(rest[0], "<string>", "exec"), main.__dict__)
    elif first == "-m":
        sys.argv, sys.path[:] = ["-m", *rest[1:]], [str(Path.cwd()), *own, *paths]
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[:] = [first, *rest], [str(Path(first).resolve().parent), *own, *paths]
        runpy.run_path(first, run_name="__main__")


def end_with(program: Callable[[], None]) -> NoReturn:
    """Run a program, and end this process as the interpreter would, without taking its modules apart first."""
    code, by_ctrl_c = 0, False
    try:
        program()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        if code and error.code is not code:
            sys.stderr.write(f"{error.code}\n")
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        code, by_ctrl_c = 1, isinstance(error, KeyboardInterrupt)
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in filter(None, (sys.stdout, sys.stderr)):
        with suppress(OSError, ValueError):
            stream.flush()
    if by_ctrl_c:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.raise_signal(signal.SIGINT)
    os._exit(code & 0xFF)


def main() -> None:
    """Import, serve, and in a forked process run what was asked for."""
    own = {*os.environ.get("PYTHONPATH", "").split(os.pathsep), str(Path(__file__).parent)}
    paths = [path for path in sys.path if path not in own]
    sys.path.insert(0, str(ROOT))
    for name in SLOW:
        import_module(name)
    gc.collect()
    gc.freeze()
    wanted = serve(sys.argv[1])
    if wanted is not None:
        end_with(lambda: become(wanted, paths))
    os._exit(0)


if __name__ == "__main__":
    main()
