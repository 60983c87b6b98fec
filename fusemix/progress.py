"""Progress of long work: done, rate and time left; and the one console that everything prints on.

Place in the flow: commands and callbacks -> the terminal. On a terminal a live bar; in a log file a line a minute.
What is printed is text, never markup, and a control character that somebody put into a caption, an id or a path is
shown, not obeyed.
"""

import errno
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment
from rich.text import Text

from fusemix.visible import UNSEEN, visible


class _Console(Console):
    """Takes all that it is given for text."""

    def render_str(self, text: str, **how: Any) -> Text:
        return super().render_str(visible(text), **how)

    def on_broken_pipe(self) -> None:
        """Leave it to `fusemix.cli`, which knows whether anything but printing is done here."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        if isinstance(renderable, Text) and UNSEEN.search(renderable.plain):
            renderable = Text(visible(renderable.plain), renderable.style)
        return super().render(renderable, options)


console = _Console(highlight=False, soft_wrap=True, markup=False, emoji=False)


LINE_EVERY_SEC = 60.0


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.1f}/s" if speed else "")


def progress_bar() -> Progress:
    """A bar that shows what is done, how fast, since when and for how long still."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


@contextmanager
def counting(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show long work: gives a function that is called with the number of things just done."""
    log = _Log(label, total)
    with progress_bar() as bar:
        task = bar.add_task(label, total=total, note="")

        def advance(count: int) -> None:
            bar.advance(task, count)
            log.advance(count)

        yield advance


class _Log:
    """Progress where there is no terminal: now and then a line."""

    def __init__(self, label: str, total: int) -> None:
        self._label, self._total, self._done = label, total, 0
        self._started = self._told = time.monotonic()

    def advance(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if console.is_terminal or now - self._told < LINE_EVERY_SEC:
            return
        self._told = now
        rate = self._done / (now - self._started)
        left = (self._total - self._done) / rate / 60 if rate else float("inf")
        share = self._done / self._total
        console.print(
            f"  {self._label}: {self._done:,} of {self._total:,} ({share:.0%}), {rate:,.1f}/s, {left:,.0f} min left"
        )
