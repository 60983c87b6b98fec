"""How results of the API show themselves: text where there is only text, HTML in a notebook.

Place in the flow: rich tables, pictures -> `__repr__`, `_repr_html_`, `_repr_png_`.
"""

import io
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType

from fusemix.disk.files import write_atomic
from fusemix.errors import ConfigError
from fusemix.media import data_uri

WIDTH = 100
"""Columns of text; most tables take 80."""
PRE = (
    "<pre style=\"white-space:pre;overflow-x:auto;line-height:normal;font-family:Menlo,'DejaVu Sans Mono',consolas,"
    "'Courier New',monospace\">{code}</pre>"
)


def as_text(*parts: RenderableType) -> str:
    """What a terminal would show, without colours."""
    console = _console(io.StringIO())
    for part in parts:
        console.print(part)
    return "\n".join(line.rstrip() for line in console.export_text().splitlines()).strip("\n")


def as_html(*parts: RenderableType) -> str:
    """What a terminal would show, as HTML."""
    console = _console(io.StringIO())
    for part in parts:
        console.print(part)
    return console.export_html(code_format=PRE, inline_styles=True)


def _console(file: io.StringIO) -> Console:
    settings: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False, "force_jupyter": False}
    return Console(file=file, record=True, width=WIDTH, force_terminal=True, color_system="truecolor", **settings)


def frame(columns: Mapping[str, Sequence[Any]], index: str | None = None) -> Any:
    """A pandas DataFrame.

    Raises:
        ConfigError: pandas is not installed.
    """
    try:
        pandas = import_module("pandas")
    except ImportError as error:
        raise ConfigError("to_pandas needs pandas: pip install pandas.") from error
    made = pandas.DataFrame(columns)
    return made if index is None else made.set_index(index)


class Picture:
    """A PNG that shows itself in a notebook.

    Args:
        png: its bytes.
    """

    def __init__(self, png: bytes) -> None:
        self._png = png

    def __repr__(self) -> str:
        return f"fusemix.Picture({len(self._png):,} bytes of PNG)"

    def _repr_png_(self) -> bytes:
        return self._png

    def html(self) -> str:
        """An `<img>` that holds the picture itself."""
        return f'<img src="{data_uri("image/png", self._png)}"/>'

    def save(self, path: str | Path) -> None:
        """Write the PNG to a file."""
        with write_atomic(Path(path)) as file:
            file.write(self._png)
