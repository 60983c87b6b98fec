"""How a command is ended from outside: Ctrl-C, and what SLURM or a closed terminal sends.

Place in the flow: a signal -> an exception in the command's main -> its exit code and one line.

Whoever types Ctrl-C is heard: libraries that are being imported, and loops of other people's, may catch or rewrite the
exception, and then it is raised again until the command ends.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

AGAIN_SEC = 1.0
"""So long after Ctrl-C, and then again, it is looked whether the command is about to end."""
PATIENCE_SEC = 10.0
"""So long processes that talk to one another may take to part after Ctrl-C; what they write is whole or not there."""
ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""What SLURM sends, and a terminal that is closed."""
GOES_ON = "the same command goes on where it stopped"
KEPT = {
    "cache_features": f"what was encoded is kept, but for the last half minute: {GOES_ON}",
    "train": "the same command goes on from the last epoch that was finished",
    "index": f"what was embedded of files is kept, but for the last half minute: {GOES_ON}",
    "export_embeddings": f"files that were finished are kept: {GOES_ON}",
    "study": "what was finished is kept: the same command, without overwrite, goes on where it stopped",
    "import": f"what was finished is kept: {GOES_ON}",
    "eval_retrieval": "a report is written when all is measured, so the same command starts again",
    "eval_zero_shot": "a report is written when all is measured, so the same command starts again",
    "eval_generation": "a report is written when all is measured, so the same command starts again",
    "export": "nothing was exported, so the same command starts again",
}
"""What is true of a command that was ended; of others there is nothing to say."""


class Terminated(SystemExit):
    """A signal ends this process; as after Ctrl-C, what is open is closed, and locks are given back."""


class Interrupts:
    """Whether Ctrl-C was heard, and what sees to it that it is."""

    def __init__(self, command: str | None = None) -> None:
        self.heard, self._process, self._command = False, os.getpid(), command

    def anything(self) -> tuple[type[BaseException], ...]:
        """What to catch: once Ctrl-C was heard, whatever others have made of it."""
        return (BaseException,) if self.heard else ()

    def take(self, number: int, frame: object) -> None:
        """Handle the signal: the first one ends the command in order, the second one at once."""
        if os.getpid() != self._process:  # a child that was forked
            raise KeyboardInterrupt
        if self.heard:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.heard = True
        if hasattr(signal, "setitimer"):
            signal.signal(signal.SIGALRM, self._again)
            signal.setitimer(signal.ITIMER_REAL, AGAIN_SEC, AGAIN_SEC)
        if _is_among_others():
            last = threading.Timer(PATIENCE_SEC, self._end_now)
            last.daemon = True
            last.start()
        raise KeyboardInterrupt

    def _end_now(self) -> None:
        """Of several processes, one that has ended may leave this one waiting for it where no exception reaches."""
        how, code = ended_by(KeyboardInterrupt(), self)
        if how:
            print(f"fusemix: {told(how, self._command)}", file=sys.stderr, flush=True)  # noqa: T201
        os._exit(code)

    def _again(self, number: int, frame: object) -> None:
        if not _is_ending(sys.exc_info()[1]):
            raise KeyboardInterrupt


def _is_among_others() -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and torch.distributed.is_available() and torch.distributed.is_initialized()


def _is_ending(error: BaseException | None) -> bool:
    """Whether what is being handled has come of Ctrl-C: then things are being closed, and closing takes its time."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False


@contextmanager
def heeding_ctrl_c(command: str | None) -> Iterator[Interrupts]:
    """Hear Ctrl-C, unless somebody else has chosen what becomes of it, such as a shell for jobs behind it."""
    interrupts = Interrupts(command)
    is_ours = (
        command != "serve"  # a server has its own way
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if is_ours:
        signal.signal(signal.SIGINT, interrupts.take)
    try:
        yield interrupts
    finally:
        if interrupts.heard and hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        if is_ours:  # once heard, nothing is to come between the command's last word and its exit code
            signal.signal(signal.SIGINT, signal.SIG_IGN if interrupts.heard else signal.default_int_handler)


@contextmanager
def ending_in_order(command: str) -> Iterator[None]:
    """Let the first signal that is to end a command do so like Ctrl-C; the second ends it at once."""
    process, taken = os.getpid(), []

    def end(number: int, frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        if os.getpid() == process:
            raise Terminated(128 + number)
        os.kill(os.getpid(), number)  # a child that was forked

    # A server has its own way; and what somebody else has chosen, such as nohup, stays as it is.
    if command != "serve" and threading.current_thread() is threading.main_thread():
        taken = [number for number in ENDING if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def ended_by(error: BaseException, interrupts: Interrupts) -> tuple[str, Any]:
    """What to say, where a signal was it, and the exit code; of several processes the first one speaks."""
    how, code = "", getattr(error, "code", None)
    if isinstance(error, Terminated):
        how = f"ended by {signal.Signals(int(str(error.code)) - 128).name}"
    elif interrupts.heard or isinstance(error, KeyboardInterrupt) or isinstance(error.__context__, KeyboardInterrupt):
        how, code = "interrupted", 130  # Lightning makes an exit of Ctrl-C
    if how == "interrupted" and os.environ.get("LOCAL_RANK", "0") != "0":
        # Lightning's first process kills itself, without a word, where another one ends with any other code.
        return "", 0
    return how, code


def told(how: str, command: str | None) -> str:
    """One line: how a command was ended, and what is true of its work."""
    kept = KEPT.get(command or "")
    return f"{how}; {kept}" if kept else how
