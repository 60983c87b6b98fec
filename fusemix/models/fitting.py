"""Whether latents were made by the encoders that a model was trained with.

Place in the flow: a latent set + what a checkpoint says of its encoders -> the set, opened, or a message.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fusemix.disk.files import differing_fields, told_difference
from fusemix.encoders.decoding import ALIKE
from fusemix.errors import RunError
from fusemix.latents.sets import LatentSet, Side

FAMILIES = ("transformers", "timm", "open_clip", "sentence_transformers", "hog", "log_mel")
"""Of our own encoders; the fingerprint of a user's own is compared unchanged."""
NOTED_LATER = ("config", "structure", "tokenizer")
"""Parts of a fingerprint that the first latents do without: nothing says that they differ."""
FIELDS_OF_RELEASES = ("config", "structure")
"""Parts in which another release of a library has other fields."""
Equal = Iterable[Sequence[Any]]
"""What a user has accepted as equal in effect: name of a field of the fingerprint, one value, another."""


def fitting_set(folder: Path, record: Mapping[str, Any]) -> LatentSet:
    """A latent set that was made by the encoders that a model was trained with.

    Raises:
        ConfigError: the model knows nothing of a modality.
        RunError: it was made by others.
    """
    latent_set = LatentSet(folder, record["config"]["encoders"])
    for side in latent_set.sides:
        accepted = record.get("accepted", {}).get(side.modality, ())
        require_same_encoders(str(folder), side.modality, record["encoders"][side.modality], side, accepted)
    return latent_set


def encoder_differences(one: Mapping[str, Any], other: Mapping[str, Any], path: str, accepted: Equal = ()) -> list[str]:
    """Where fingerprints of two sets of latents differ, one line a field; versions of packages do not count.

    Nor does what only one of them notes, where the other is from an earlier fusemix or another release of a library,
    nor rules of decoding that differ in odd files alone.

    Args:
        one: dict of `encoder`, `decoding`, dim, dtype.
        other: the same.
        path: what both are, for the lines.
        accepted: differences that are none.
    """
    first, second = dict(one), dict(other)
    mine: Any = first.get("encoder")
    others: Any = second.get("encoder")
    if _is_ours(mine) and _is_ours(others):
        first["encoder"], second["encoder"] = _noted_by_both(dict(mine), dict(others))
    if _decodes_alike(first.get("decoding")) and _decodes_alike(second.get("decoding")):
        for side in (first, second):
            side["decoding"] = {**side["decoding"], "rules": ALIKE}
    equal = [(f"{path}.{field}" if path else field, pair) for field, *pair in accepted]
    return [
        told_difference(*found)
        for found in differing_fields(first, second, path)
        if ".packages." not in found[0]
        and not _are_equal(*found[1:], [pair for name, pair in equal if name == found[0]])
    ]


def _are_equal(one: Any, other: Any, pairs: Sequence[Sequence[Any]]) -> bool:
    """Whether pairs of equal values lead from one to the other."""
    reached = [one]
    for value in reached:
        reached += [found for pair in pairs if value in pair for found in pair if found not in reached]
    return other in reached


def _is_ours(encoder: Any) -> bool:
    return isinstance(encoder, Mapping) and encoder.get("family") in FAMILIES


def _decodes_alike(decoding: Any) -> bool:
    return isinstance(decoding, Mapping) and decoding.get("rules") in ALIKE


def _noted_by_both(first: dict[str, Any], second: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    for key in NOTED_LATER:
        if (key in first) != (key in second):
            first.pop(key, None)
            second.pop(key, None)
    if first.get("packages") != second.get("packages"):
        for key in FIELDS_OF_RELEASES:
            first[key], second[key] = _shared_fields(first.get(key), second.get(key))
    rules = [first.get("rules", {}), second.get("rules", {})]
    for side in (first, second):  # the first rules had no number
        side["rules"] = {name: side.get("rules", {}).get(name, 1) for name in {**rules[0], **rules[1]}}
    return first, second


def _shared_fields(one: Any, other: Any) -> tuple[Any, Any]:
    if not (isinstance(one, Mapping) and isinstance(other, Mapping)):
        return one, other
    pairs = {key: _shared_fields(one[key], other[key]) for key in one if key in other}
    return {key: pair[0] for key, pair in pairs.items()}, {key: pair[1] for key, pair in pairs.items()}


def require_same_encoders(
    where: str, modality: str, wanted: list[dict[str, Any]], side: Side | None, accepted: Sequence[Equal] = ()
) -> None:
    """Refuse latents that other encoders made; other versions of packages are no reason to.

    Args:
        where: for the message.
        modality: of the latents.
        wanted: fingerprints.
        side: whose latents they are.
        accepted: for each fingerprint, what was accepted as equal to it; what the side's own stores note counts, too.

    Raises:
        RunError: they differ, field by field.
    """
    found = side.fingerprints if side else []
    lines = [f"there are {len(found)} encoders of {modality}, not {len(wanted)}"] if len(found) != len(wanted) else []
    for number, (one, other) in enumerate(zip(found, wanted, strict=False), start=1):
        equal = [*(side.accepted[number - 1] if side else ()), *(accepted[number - 1] if accepted else ())]
        lines += encoder_differences(one, other, f"encoder {number}", equal)
    if lines:
        text = "\n  ".join(lines)
        raise RunError(
            f"{where}: its {modality} latents were not made like those that the model is trained on:\n  {text}\n"
            "Cache the set again with the encoders of the training set."
        )
