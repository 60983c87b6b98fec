"""The page and its own files, made once when the server starts.

Place in the flow: templates and scripts of this package + what is searched -> bytes that are kept in memory.

Captions, ids and names are untrusted: the template escapes them, scripts set them as text, and the policy in limits.py
lets no script run that is not in FILES.
"""

from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined

from fusemix.web.answers import Kept, kept
from fusemix.web.requests import DEFAULT_RESULTS
from fusemix.web.service import Service
from fusemix.wiring.searching.scopes import ANY, TEXT

FILES = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "filters.js": "text/javascript; charset=utf-8",
    "query.js": "text/javascript; charset=utf-8",
    "results.js": "text/javascript; charset=utf-8",
    "larger.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
"""All that /static/ has, with its media type."""
NUM_SAMPLES = 24
NUM_EXAMPLES = 5
LONGEST_EXAMPLE = 70


class Page:
    """What a browser gets.

    Args:
        service: whose index is searched.
        base_path: below which the server is reached.
        asks_token: whether programs must send one.

    Attributes:
        html: the page.
        files: name -> style, script or picture of the page.
    """

    def __init__(self, service: Service, base_path: str = "", *, asks_token: bool = False) -> None:
        about, samples = service.about(), service.samples(NUM_SAMPLES)
        template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
        html = template.from_string(_read("page.html.j2").decode()).render(
            about=about,
            title=" · ".join(dict.fromkeys([about["name"], about["model"], "fusemix"])),
            counts=counted(about["counts"]),
            choices=choices(list(about["counts"])),
            examples=examples(samples) if "text" in about["modalities"] else [],
            settings={
                **{name: about[name] for name in ("limits", "modalities", "num_items")},
                "base": base_path,
            },
            samples=samples,
            base=base_path,
            asks_token=asks_token,
            k=DEFAULT_RESULTS,
        )
        self.html: Kept = kept(html.encode(), "text/html; charset=utf-8")
        self.files: dict[str, Kept] = {name: kept(_read(name), kind) for name, kind in FILES.items()}


def _read(name: str) -> bytes:
    return resources.files("fusemix.web").joinpath(name).read_bytes()


NAMES = {"image": ("picture", "pictures"), "audio": ("sound", "sounds"), "text": ("text", "texts")}


def _several(modality: str) -> str:
    return NAMES.get(modality, ("", f"{modality} items"))[1]


def choices(held: list[str]) -> list[tuple[str, str]]:
    """What may be looked for, each with its name; the first is for who has not chosen."""
    kinds = [(modality, _several(modality).capitalize()) for modality in held]
    return [*([("", "Automatic"), (ANY, "Everything")] if TEXT in held else [("", "Everything")]), *kinds]


def counted(counts: dict[str, int]) -> str:
    """Such as `7,000 pictures, 20 sounds and 1 text`."""
    parts = []
    for modality, count in counts.items():
        one, several = NAMES.get(modality, (f"{modality} item", f"{modality} items"))
        parts.append(f"{count:,} {one if count == 1 else several}")
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def examples(samples: list[dict[str, Any]]) -> list[str]:
    """Some captions that are short enough to be clicked on, each once."""
    captions = [sample["captions"][0].strip().rstrip(".").strip() for sample in samples if sample["captions"]]
    fitting = dict.fromkeys(caption for caption in captions if 0 < len(caption) <= LONGEST_EXAMPLE)
    return list(fitting)[:NUM_EXAMPLES]
