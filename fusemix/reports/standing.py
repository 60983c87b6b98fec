"""A report folder that is there already: the same may be written again, and another one only by overwriting it.

Place in the flow: an evaluation, before its work -> the folder that it writes into.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fusemix.disk.discarding import Owned, clear_discarded, replacing, require_free, require_ours
from fusemix.disk.files import differences, read_json
from fusemix.errors import OutputError

SAME_DATA = ("name", "revision", "sha256", "fingerprints")
NOT_IDENTITY = ("run", "seen")
"""Of what a report says about its model: where its run lies, which may be moved, and what was found out about it."""


def identity_of(report: Mapping[str, Any]) -> dict[str, Any]:
    """What a report is one of: run, checkpoint, set and protocol, as plain data.

    Args:
        report: content of report.json, or as much of it as is known before the work.
    """
    data, model = _part(report, "data"), _part(report, "model")
    return {
        "protocol": _part(report, "protocol").get("name"),
        "data": {key: without_packages(data.get(key)) for key in SAME_DATA},
        "model": {key: value for key, value in model.items() if key not in NOT_IDENTITY},
    }


def _part(report: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = report.get(key)
    return found if isinstance(found, Mapping) else {}


def without_packages(value: Any) -> Any:
    """Latents of one encoder under other versions of packages are the same ones; see models/fitting.py."""
    if isinstance(value, Mapping):
        return {key: without_packages(below) for key, below in value.items() if key != "packages"}
    return [without_packages(below) for below in value] if isinstance(value, list) else value


@contextmanager
def place_for(
    out: Path,
    kind: Owned,
    wanted: Mapping[str, Any],
    *,
    file: str = "report.json",
    identity: Callable[[Mapping[str, Any]], dict[str, Any]] = identity_of,
    overwrite: bool,
) -> Iterator[Path]:
    """The folder to write into: `out`, or one that takes its place at the end of the block.

    Args:
        out: of the report.
        kind: of report.
        wanted: what `identity` gives of the report that is going to be written.
        file: of it, that says what it is.
        identity: what a report is one of, from the content of `file`.
        overwrite: replace the report that is there.

    Raises:
        OutputError: another report is there, or files of somebody else.
    """
    clear_discarded(out)
    if not kind.is_sealed(out):
        require_free(out, kind)
        yield out
        return
    if overwrite:
        require_ours(out, kind)
        with replacing(out, kind) as place:
            yield place
        return
    if found := differences(identity(read_json(out / file)), dict(wanted)):
        lines = "\n  ".join(found)
        raise OutputError(
            f"{out} holds {kind.what} that differs from this one:\n  {lines}\n"
            "Choose another out, or discard what is there with overwrite=true."
        )
    yield out


@contextmanager
def shown_at_least(show: Callable[[], None]) -> Iterator[None]:
    """Where a report cannot be written, show what was found: it may have taken hours."""
    try:
        yield
    except OSError:
        show()
        raise
