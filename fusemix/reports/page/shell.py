"""What all pages have: one self-contained file with its style, its script, and a policy that lets nothing else in.

Place in the flow: what a page shows -> a template of this folder -> text of an HTML file.

Captions, ids and names are untrusted: templates escape them, and the page's own policy lets no script run but its own
and nothing be loaded.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import PurePath
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from fusemix.reports.page import tables
from fusemix.reports.page.shelf import NUM_BARS
from fusemix.tables import percent


def rendered(template: str, *, title: str, scripts: Sequence[str], **shown: Any) -> str:
    """A whole page as HTML.

    Args:
        template: its file in this folder.
        title: of the tab.
        scripts: files in this folder, in the order in which they run.
        shown: what the template names.
    """
    script = "\n".join(map(_text, scripts))
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return (
        _environment()
        .get_template(template)
        .render(title=title, style=Markup(_text("page.css")), script=Markup(script), script_digest=digest, **shown)
    )


def run_name(model: Mapping[str, Any]) -> str:
    """A run as people call it: the last part of its folder's path; empty where the report names none."""
    return PurePath(model.get("run") or "").name


def _text(name: str) -> str:
    return resources.files("fusemix.reports.page").joinpath(name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    """Templates, each compiled once."""
    made = Environment(
        loader=FunctionLoader(_text), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.globals["outline_width"] = 4 * NUM_BARS
    made.filters |= {
        "direction": tables.direction_label,
        "percent": percent,
        "json": lambda data: json.dumps(data, indent=2, ensure_ascii=False, default=str),
    }
    return made
