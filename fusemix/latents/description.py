"""What `set.json` must hold, so that a damaged one is one message and no traceback.

Place in the flow: content of `set.json` -> what is wrong with it, or None.
"""

from collections.abc import Mapping
from typing import Any

from fusemix.kinds import misfit

FIELDS = {
    "dataset": str,
    "revision": str,
    "split": str,
    "num_links": int,
    "links_sha256": str,
    "num_excluded": int,
    "source": dict[str, Any],
}
SIDE = {"modality": str, "num_items": int, "sha256": str}
LATER = {"quarantine_sha256": str, "num_captions": int, "times_sha256": str}
"""What older sets do not have, and what stands only where a caption is there twice."""


def description_problem(about: Mapping[str, Any]) -> str | None:
    """What is wrong with the description of a set, or None."""
    problem = _problem("", about, FIELDS) or _problem("", about, {k: v for k, v in LATER.items() if k in about})
    for which in ("left", "right"):
        problem = problem or _problem(f"{which}.", about[which], SIDE)
    if not problem and any("/" in about[which]["modality"] for which in ("left", "right")):
        problem = "a modality is no word"
    return problem


def _problem(prefix: str, about: Any, kinds: Mapping[str, Any]) -> str | None:
    if not isinstance(about, Mapping):
        return f"{prefix.rstrip('.')!r} is no mapping"
    for key, kind in kinds.items():
        if key not in about:
            return f"it has no '{prefix}{key}'"
        if wanted := misfit(about[key], kind):
            return f"'{prefix}{key}' is {about[key]!r}, but must be {wanted}"
    return None
