"""The server's end of the processes that decode: who may, how long, and what ends.

Place in the flow: files of a request -> a process (decoder.py) -> pictures and sounds, held until it is answered.
A thread cannot be ended from outside, and decoders of pictures and sounds hear no deadline; a process can be ended.
"""

import json
import multiprocessing
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.process import BaseProcess
from typing import Any

from fusemix.contents import Content
from fusemix.web.answers import Refusal
from fusemix.web.budget import MOST, Budget, Load
from fusemix.web.decoder import File, received, work

DECODE_SEC = 45.0
"""Longest time that the files of one request may take to be decoded, where others keep the machine busy."""
KEPT_PROCESSES = 4
"""Processes that wait for the next files."""
KEPT_LOAD = Load(MOST.pixels / 4, MOST.seconds / 4, MOST.samples / 4)
"""A process that held more is ended: it would keep the memory."""
START_SEC = 60
"""Longest time that a process may take to start."""
METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
"""How they are started. Not as forks of the server, whose threads may hold any lock."""


class _Worker:
    """A process, and what is said to it and heard from it."""

    def __init__(self) -> None:
        context: Any = multiprocessing.get_context(METHOD)
        if METHOD == "forkserver":
            context.set_forkserver_preload([work.__module__])
        self._connection, other = context.Pipe()
        self._process: BaseProcess = context.Process(target=work, args=(other,), daemon=True)
        self._process.start()
        other.close()
        self.is_ended = False
        self.heard(time.monotonic() + START_SEC)

    def say(self, *parts: bytes) -> None:
        for part in parts:
            self._connection.send_bytes(part)

    def heard(self, until: float) -> Any:
        """What it says, or its refusal."""
        said = json.loads(self.heard_bytes(until))
        if "refused" in said:
            raise Refusal(*said["refused"])
        return said

    def heard_bytes(self, until: float) -> bytes:
        if not self._connection.poll(max(0, until - time.monotonic())):
            self.end()
            raise Refusal(422, "it takes too long to decode what was sent; send something smaller")
        return self._connection.recv_bytes()

    def end(self) -> None:
        if not self.is_ended:
            self.is_ended = True
            self._process.kill()
            self._process.join()
            self._connection.close()


class Decoders:
    """Decodes in processes of its own. Several threads may ask at once.

    Args:
        decode_sec: see DECODE_SEC.
    """

    def __init__(self, decode_sec: float = DECODE_SEC) -> None:
        self._decode_sec = decode_sec
        self._idle: deque[_Worker] = deque()
        # What is heavy to import is then there when the first files come.
        threading.Thread(target=self._start_one, daemon=True).start()

    def _start_one(self) -> None:
        with suppress(OSError, EOFError, Refusal):
            self._idle.append(_Worker())

    @contextmanager
    def decoded(self, files: Sequence[File], budget: Budget) -> Iterator[list[Content]]:
        """The contents of files, which count in a budget while the block lasts.

        Args:
            files: of one request.
            budget: is waited for, too.

        Raises:
            Refusal: 422, one cannot be read, or takes too long; 503, too much is being decoded.
        """
        with ExitStack() as room:
            yield self._decoded(files, budget, room)

    def _decoded(self, files: Sequence[File], budget: Budget, room: ExitStack) -> list[Content]:
        worker, load = self._taken(), Load()
        try:
            about = [(file.kind, file.most) for file in files]
            worker.say(json.dumps(about).encode(), *(file.raw for file in files))
            load = Load(*worker.heard(time.monotonic() + self._decode_sec)["load"])
            self._wait(worker, budget, load, room)
            worker.say(b"go on")
            until = time.monotonic() + self._decode_sec
            return [received(worker.heard(until), worker.heard_bytes(until)) for _ in files]
        except Refusal:
            raise
        except (EOFError, OSError) as error:  # a decoder crashed, or the system ended it for its memory
            worker.end()
            raise Refusal(422, "what was sent cannot be decoded: it takes too long, or breaks the decoder") from error
        except BaseException:
            worker.end()
            raise
        finally:
            self._give_back(worker, load)

    def _wait(self, worker: _Worker, budget: Budget, load: Load, room: ExitStack) -> None:
        try:
            room.enter_context(budget.taken(load))
        except Refusal:
            worker.end()  # it waits for leave to go on
            raise

    def _taken(self) -> _Worker:
        with suppress(IndexError):
            return self._idle.pop()
        try:
            return _Worker()
        except (OSError, EOFError) as error:
            raise Refusal(
                503, "no process can be started to decode this; try again in a moment", {"retry-after": "5"}
            ) from error

    def _give_back(self, worker: _Worker, load: Load) -> None:
        if load.fits(KEPT_LOAD) and len(self._idle) < KEPT_PROCESSES and not worker.is_ended:
            self._idle.append(worker)
        else:
            worker.end()
