"""The encoders that a model was trained on, built again and compared with what made its latents.

Place in the flow: Trained + sources -> Encoders.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fusemix.encoders import ENCODERS
from fusemix.encoders.decoding import decoding_fingerprint
from fusemix.encoders.dtypes import AUTO, with_dtype
from fusemix.errors import FusemixError, RunError
from fusemix.interfaces import Encoder
from fusemix.models.fitting import Equal, encoder_differences
from fusemix.models.recipes import NamedSource, Source, code_of
from fusemix.models.trained import Trained
from fusemix.parts.trust import named_by_data, require_trust

UNKNOWN = {"name": "transformers_…", "options": {"model": "…"}}
How = Callable[[str, list[dict[str, Any]]], str]
"""Modality and what it may look like -> how its encoders are given, for a message."""


def by_hand(modality: str, sources: list[dict[str, Any]]) -> str:
    """How encoders are given in Python."""
    where = "as under encoders in the config of caching and in the order of training"
    return f"Give them by hand, {where}: encoders={ {modality: sources} }."


def matching_encoders(
    trained: Trained, modality: str, given: Sequence[Source] | None = None, how: How = by_hand
) -> dict[str, Encoder]:
    """The encoders of a modality by name, in the order of training.

    Args:
        trained: whose encoders they are.
        modality: that it knows.
        given: what builds them, where the model does not know or they have moved.
        how: they are given, for the message.

    Raises:
        RunError: an encoder is not known, cannot be loaded, or is not the one that the model was trained with.
    """
    wanted = trained.record["encoders"][modality]
    sources = trained.sources[modality] if given is None else _numbered(modality, given)
    problems = [] if len(sources) == len(wanted) else [f"{len(wanted)} are needed, and {len(sources)} given"]
    loaded: dict[str, Encoder] = {}
    for number, (named, recorded) in enumerate(zip(sources, wanted, strict=False), start=1):
        try:
            encoder = _built(named, recorded, trained.trust_code)
        except FusemixError as error:
            problems.append(f"encoder {number}: {error}")
        else:
            accepted = trained.record.get("accepted", {}).get(modality)
            problems += problems_of(number, encoder, recorded, modality, accepted[number - 1] if accepted else ())
            loaded[named.name if named.name not in loaded else f"{named.name} {number}"] = encoder
    if problems:
        lines = "\n  ".join(problems)
        mend = how(modality, [_example(source) for source in trained.sources[modality]])
        raise RunError(
            f"{trained.folder}: {modality} needs the encoders that the run was trained with:\n  {lines}\n{mend}"
        )
    return loaded


def _numbered(modality: str, given: Sequence[Source]) -> list[NamedSource]:
    return [NamedSource(f"{modality} {number}", source, is_given=True) for number, source in enumerate(given, start=1)]


def _example(named: NamedSource) -> dict[str, Any]:
    return dict(named.source) if named.source and code_of(named.source) else UNKNOWN


def _built(named: NamedSource, recorded: Mapping[str, Any], trust_code: bool) -> Encoder:
    if named.source is None:
        says = ", ".join(f"{k} {v}" for k, v in recorded["encoder"].items() if isinstance(v, str) and len(v) < 60)
        raise RunError(f"nothing says what builds it. Its latents say: {says or 'nothing'}")
    options = named.source.get("options", {})
    if named.is_given:
        return built_again(named.source["name"], options, recorded)
    require_trust("the model", code_of(named.source), trust_code)
    with named_by_data():
        return built_again(named.source["name"], options, recorded)


def built_again(name: str, options: Mapping[str, Any], recorded: Mapping[str, Any]) -> Encoder:
    """An encoder as it was when latents were made, whatever its repository says since of what options leave open.

    Args:
        name: of the encoder.
        options: that it was built with.
        recorded: fingerprint of the latents.
    """
    made_by = recorded["encoder"]
    if name == "transformers_text" and made_by.get("family") == "transformers":
        length = made_by.get("preprocessing", {}).get("max_length")
        then = {"pooling": made_by.get("pooling"), "prefix": made_by.get("prefix"), "max_length": length}
        options = {**{key: value for key, value in then.items() if value is not None}, **options}
    return ENCODERS.build(name, with_dtype(options, made_by.get("dtype", AUTO)) if ENCODERS.is_own(name) else options)


def is_imported(recorded: Mapping[str, Any]) -> bool:
    """Whether latents were made by what fusemix knows nothing of; their fingerprint says what the user noted."""
    encoder = recorded.get("encoder")
    return isinstance(encoder, Mapping) and encoder.get("family") == "imported"


def problems_of(
    number: int, encoder: Encoder, recorded: Mapping[str, Any], modality: str, accepted: Equal = ()
) -> list[str]:
    """Where an encoder differs from the one trained with, one line a field, as `encoder_differences` has it.

    Args:
        number: place of the encoder among those of its modality, from 1.
        encoder: to be used.
        recorded: fingerprint of the latents that the run was trained on.
        modality: whose latents they are.
        accepted: what was accepted as equal to the fingerprint.
    """
    if is_imported(recorded):
        if encoder.dim == recorded["dim"]:
            return []
        return [
            f"encoder {number} gives {encoder.dim} numbers, and the latents that were imported have {recorded['dim']}"
        ]
    found = {
        "encoder": encoder.fingerprint,
        "decoding": decoding_fingerprint(modality),
        "dim": encoder.dim,
        "dtype": recorded["dtype"],
    }
    now = {key: found.get(key) for key in recorded}
    return encoder_differences(recorded, now, f"encoder {number}", accepted)
