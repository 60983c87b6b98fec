"""Start Python programs in processes of their own, and wait for them, without the seconds that imports take.

Place in the flow: a test -> the server of forking.py, which all workers of a session share -> a process.
Where no process can be forked, programs are started as usual.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from filelock import FileLock

SERVER = Path(__file__).with_name("forking.py")
LONGEST_PATH = 100
"""Of a socket; systems take 103 or 107 bytes."""
LONGEST_TAIL_SEC = 600
"""Tests of other workers may go on for so long when those of this one are done."""


class Programs:
    """Starts programs, by a server that stays as long as a worker of the session holds on to it.

    Args:
        folder: of the session, where the server's socket lies.
    """

    def __init__(self, folder: Path) -> None:
        self._path, self._held = str(folder / "forking"), None
        if hasattr(os, "fork") and hasattr(socket, "send_fds") and len(os.fsencode(self._path)) < LONGEST_PATH:
            with FileLock(f"{self._path}.lock"):
                try:
                    self._held = self._asked(b"\n")
                except OSError:
                    self._start_server()
                    self._held = self._asked(b"\n")

    def _start_server(self) -> None:
        Path(self._path).unlink(missing_ok=True)
        command = [sys.executable, str(SERVER), self._path]
        self._server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert self._server.stdout is not None
        assert self._server.stdout.readline() == "ready\n", "the server of programs could not be started"

    def _asked(self, data: bytes, streams: Sequence[int] = ()) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(self._path)
            sent = socket.send_fds(connection, [data], streams) if streams else 0
            connection.sendall(data[sent:])
        except OSError:
            connection.close()
            raise
        return connection

    def start(
        self,
        *arguments: object,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdout: int | IO = subprocess.DEVNULL,
        stderr: int | IO = subprocess.DEVNULL,
    ) -> "Program | subprocess.Popen[str]":
        """As `subprocess.Popen([sys.executable, *arguments], …, text=True)`; no stream is inherited.

        Args:
            arguments: a script, `-c` or `-m`, and what follows.
            cwd, env: folder and environment; by default those of the tests.
            stdout, stderr: a file, DEVNULL, PIPE (of stdout alone) or STDOUT (of stderr alone).
        """
        words = [os.fspath(word) if isinstance(word, Path) else str(word) for word in arguments]
        if self._held is None:
            how = {"stdin": subprocess.DEVNULL, "stdout": stdout, "stderr": stderr, "text": True}
            return subprocess.Popen([sys.executable, *words], cwd=cwd, env=env, **how)
        environment = dict(os.environ if env is None else env)
        wanted = json.dumps({"arguments": words, "cwd": str(cwd or Path.cwd()), "environment": environment})
        with ExitStack() as files:
            null = files.enter_context(Path(os.devnull).open("r+b"))
            read, out = None, null if stdout == subprocess.DEVNULL else stdout
            if stdout == subprocess.PIPE:
                ends = os.pipe()
                read, out = os.fdopen(ends[0]), files.enter_context(os.fdopen(ends[1], "w"))
            error = {subprocess.DEVNULL: null, subprocess.STDOUT: out}.get(stderr, stderr)
            streams = [file.fileno() for file in (null, out, error)]
            return Program(self._asked(wanted.encode() + b"\n", streams), read)

    def run(
        self, *arguments: object, cwd: Path | None = None, env: Mapping[str, str] | None = None, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """As `subprocess.run([sys.executable, *arguments], …, capture_output=True, text=True)`."""
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as error:
            program = self.start(*arguments, cwd=cwd, env=env, stdout=out, stderr=error)
            try:
                code = program.wait(timeout)
            except subprocess.TimeoutExpired:
                program.kill()
                raise
            for file in (out, error):
                file.seek(0)
            return subprocess.CompletedProcess(arguments, code, out.read(), error.read())

    def run_together(
        self, count: int, *arguments: object, env: Mapping[str, str] | None = None, timeout: float = 300, **how: Any
    ) -> list[subprocess.CompletedProcess[str]]:
        """Start a program as often as processes are to share its work, told who they are as torchrun tells it."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(count), "NODE_RANK": "0"}

        def one(rank: int) -> subprocess.CompletedProcess[str]:
            own = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            return self.run(
                *arguments, env={**(os.environ if env is None else env), **place, **own}, timeout=timeout, **how
            )

        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(one, range(count)))

    def close(self) -> None:
        """Let go of the server, which ends when nobody holds on to it."""
        if self._held is not None:
            self._held.close()
        if hasattr(self, "_server"):
            self._server.wait(LONGEST_TAIL_SEC)


class Program:
    """A process that was forked, used as a `subprocess.Popen` is.

    Attributes:
        pid: its id.
        returncode: how it ended, minus the signal where one ended it; None before.
        stdout: what it prints, where that was asked for.
    """

    def __init__(self, connection: socket.socket, stdout: IO[str] | None) -> None:
        self._connection, self._told = connection, b""
        self.stdout, self.returncode = stdout, None
        self.pid = self._number(60)

    def _number(self, timeout: float | None) -> int:
        """The next number that the server tells."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while b"\n" not in self._told:
            self._connection.settimeout(None if deadline is None else max(0.0, deadline - time.monotonic()))
            try:
                more = self._connection.recv(1024)
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired("a program", timeout or 0) from None
            assert more, "the server of programs has ended"
            self._told += more
        line, _, self._told = self._told.partition(b"\n")
        return int(line)

    def wait(self, timeout: float | None = None) -> int:
        """How it ended; raises `subprocess.TimeoutExpired` where it does not."""
        if self.returncode is None:
            self.returncode = self._number(timeout)
            self._connection.close()
        return self.returncode

    def poll(self) -> int | None:
        """How it ended, or None."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def send_signal(self, number: int) -> None:
        """Unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(9)
