"""A matplotlib figure as inline SVG that takes fonts and text colours from the page around it.

Place in the flow: figure -> text for the page.
Not here: what is drawn (charts.py).
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from warnings import catch_warnings, filterwarnings
from xml.etree import ElementTree

from matplotlib import rc_context
from matplotlib.figure import Figure

from fusemix.reports.layout import lay_out

HREF = "{http://www.w3.org/1999/xlink}href"
NO_METADATA = {"Creator": None, "Date": None, "Format": None, "Type": None}
REFERENCE = re.compile(r"url\(#")
FONT_FAMILY = re.compile(r"font-family: [^;]*; ")


@contextmanager
def svg_settings(name: str) -> Iterator[None]:
    """Matplotlib's settings for a figure that `inline_svg` will draw: text stays text, and `$` is no formula.

    The browser has the fonts, so those that matplotlib measures by may lack a character.
    """
    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": name, "text.parse_math": False, "font.size": 11}
    with rc_context(settings), catch_warnings():
        filterwarnings("ignore", "Glyph .* missing from font")
        yield


def inline_svg(figure: Figure, name: str, about: str) -> str:
    """Draw a figure; equal figures give equal text, on every machine that has the same matplotlib and fonts.

    Args:
        figure: made and drawn under `svg_settings`.
        name: put before every id, so that several figures can stand on one page.
        about: what a person who cannot see it should know.
    """
    lay_out(figure)
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata=NO_METADATA)
    root = ElementTree.fromstring(file.getvalue())
    for element in root.iter():
        _make_own(element, name)
    for defs in root.findall("defs"):  # matplotlib's rule for all elements would hold for the whole page
        for style in defs.findall("style"):
            defs.remove(style)
    viewed = root.attrib["viewBox"]
    root.attrib.clear()
    root.attrib.update({"viewBox": viewed, "role": "img", "aria-label": about})
    return ElementTree.tostring(root, encoding="unicode")


def _make_own(element: ElementTree.Element, name: str) -> None:
    """Drop the namespace, which HTML does not want, and white space; prefix ids and references to them."""
    element.tag = element.tag.split("}")[-1]
    element.tail = None
    if element.text is not None and not element.text.strip():
        element.text = None
    if "id" in element.attrib:
        element.attrib["id"] = f"{name}-{element.attrib['id']}"
    if HREF in element.attrib:
        element.attrib["href"] = f"#{name}-{element.attrib.pop(HREF)[1:]}"
    if "d" in element.attrib:
        element.attrib["d"] = " ".join(element.attrib["d"].split())
    for key in ("style", "clip-path"):
        if key in element.attrib:
            own = REFERENCE.sub(f"url(#{name}-", element.attrib[key])
            element.attrib[key] = FONT_FAMILY.sub("", own)
