"""Progress of long work: done, rate, time so far and time left; and the one console that everything prints on.

Place in the flow: commands and callbacks -> the terminal. On a terminal a live bar, and lines that break between words;
in a notebook a bar of HTML; in a log file a line after 5 seconds, then rarer, at last one a minute. What is printed is
text, never markup, and a control character that somebody put into a caption, an id or a path is shown, not obeyed.
"""

import builtins
import errno
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
)
from rich.segment import Segment
from rich.text import Text

from fusemix.visible import UNSEEN, visible


class _Console(Console):
    """Takes all that it is given for text, and breaks lines of it between words where they are for a terminal."""

    def print(self, *objects: Any, **how: Any) -> None:
        if self.is_terminal and how.get("soft_wrap") is None:
            objects = tuple(wrapped(one, self.width) if isinstance(one, str) else one for one in objects)
        super().print(*objects, **how)

    def render_str(self, text: str, **how: Any) -> Text:
        return super().render_str(visible(text), **how)

    def on_broken_pipe(self) -> None:
        """Leave it to `fusemix.cli.run`, which knows whether anything but printing is done here."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        if isinstance(renderable, Text) and UNSEEN.search(renderable.plain):
            renderable = Text(visible(renderable.plain), renderable.style)
        return super().render(renderable, options)


def wrapped(text: str, width: int) -> str:
    """Lines of at most `width` columns, broken between words; what a line goes on with stands as far in as it does.

    A word that is longer, such as a path, stays whole.
    """
    if width < NARROW:
        return text
    return "\n".join(_wrapped_line(line, width) if cell_len(line) > width else line for line in text.split("\n"))


def _wrapped_line(line: str, width: int) -> str:
    words = line.split(" ")
    indent = " " * (len(line) - len(line.lstrip(" ")))
    lines = [words[0]]
    for word in words[1:]:
        if cell_len(lines[-1]) + 1 + cell_len(word) > width and lines[-1].strip():
            lines.append(f"{indent}{word}")
        else:
            lines[-1] += f" {word}"
    return "\n".join(lines)


# In a notebook, too, text is printed as text: rich would make an output of its own of every line.
console = _Console(highlight=False, soft_wrap=True, markup=False, emoji=False, force_jupyter=False)

NARROW = 30
"""Where a terminal has fewer columns, it breaks lines itself."""
LINES_AFTER_SEC = (5.0, 15.0, 30.0, 60.0)
LINE_EVERY_SEC = 60.0
NOTEBOOK_EVERY_SEC = 0.2
"""When there is a line where there is no terminal: after so many seconds, and then every so many; and how often the bar
of a notebook is drawn."""


class LineTimes:
    """When to print a line where there is no terminal."""

    def __init__(self) -> None:
        self._started, self._told = time.monotonic(), 0.0

    def is_due(self) -> bool:
        """Whether one is due; it is taken to be printed."""
        if console.is_terminal or in_notebook():
            return False
        passed = time.monotonic() - self._started
        following = next((sec for sec in LINES_AFTER_SEC if sec > self._told), self._told + LINE_EVERY_SEC)
        if passed < following:
            return False
        self._told = passed
        return True


def rate_text(speed: float | None, thing: str = "") -> str:
    """How fast things are done: so many a second, or where they are slow, so many seconds each.

    Args:
        speed: things a second; None where it is not known.
        thing: what they are; empty where the line says so.
    """
    if not speed:
        return ""
    if speed < 1:
        return f"{1 / speed:,.1f} s{f'/{thing}' if thing else ' each'}"
    return f"{speed:,.1f}{f' {thing}s' if thing else ''}/s"


def time_text(seconds: float | int | None) -> str:
    """Hours, minutes and seconds, or minutes and seconds.

    >>> time_text(99), time_text(7205)
    ('1:39', '2:00:05')
    """
    if seconds is None:
        return "-:--"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(rate_text(task.finished_speed or task.speed, task.fields.get("thing", "")))


class _Times(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{time_text(task.elapsed)} elapsed, {time_text(task.time_remaining)} left")


def in_notebook() -> bool:
    """Whether this is a cell of a notebook: what is displayed there is HTML."""
    shell = getattr(builtins, "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell" or "google.colab" in type(shell).__module__


class _NotebookBar(Progress):
    """The bar in a notebook, as HTML; what rich does there needs a package and an extension of the page."""

    _cell: Any = None
    _seen = 0.0

    def start(self) -> None:
        from IPython.display import display  # a notebook has it

        self._cell = display(_Html(""), display_id=True)

    def stop(self) -> None:
        if self._cell is not None:
            self._cell.update(_Html(""))

    def refresh(self) -> None:
        self._seen = time.monotonic()
        if self._cell is not None:
            self._cell.update(_Html("".join(map(self._row, self.tasks))))

    def update(self, *task: Any, **how: Any) -> None:
        super().update(*task, **how)
        self._refresh_if_due()

    def advance(self, *task: Any, **how: Any) -> None:
        super().advance(*task, **how)
        self._refresh_if_due()

    def _refresh_if_due(self) -> None:
        if time.monotonic() - self._seen > NOTEBOOK_EVERY_SEC:
            self.refresh()

    def _row(self, task: Task) -> str:
        bar = f'<progress value="{task.completed}" max="{task.total or 1}"></progress>'
        cells = (bar if isinstance(one, BarColumn) else escape(visible(_text(one, task))) for one in self.columns)
        return f"<div>{' '.join(cells)}</div>"


def _text(column: Any, task: Task) -> str:
    return str(column(task))


class _Html(str):
    """Text that a notebook shows as HTML."""

    def _repr_html_(self) -> str:
        return str(self)


def progress_bar() -> Progress:
    """A bar that shows what is done, how fast, since when and for how long still."""
    is_html = in_notebook()
    return (_NotebookBar if is_html else Progress)(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        _Rate(),
        _Times(),
        TextColumn("{task.fields[note]}", markup=False),
        console=console,
        expand=True,
        transient=True,
        disable=not (console.is_terminal or is_html),
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
        self._label, self._total, self._done, self._before = label, total, 0, 0
        self._started = self._began = time.monotonic()
        self._times = LineTimes()

    def advance(self, count: int) -> None:
        if not self._done and count:  # what was there before, or was prepared while nobody saw, is no measure
            self._before, self._began = count, time.monotonic()
        self._done += count
        if not self._done or not self._times.is_due():
            return
        now = time.monotonic()
        began, before = (self._began, self._before) if self._done > self._before else (self._started, 0)
        rate = (self._done - before) / max(now - began, 1e-9)
        left = time_text((self._total - self._done) / rate)
        console.print(
            f"  {self._label}: {self._done:,} of {self._total:,} ({self._done / self._total:.0%}), {rate_text(rate)}, "
            f"{time_text(now - self._started)} elapsed, {left} left"
        )


def duration(seconds: float) -> str:
    """A time as people say it: `2.5 h`."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"
