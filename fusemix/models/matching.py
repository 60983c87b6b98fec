"""The encoders that a model was trained on, built again and compared with what made its latents.

Place in the flow: Trained + recipes -> Encoders.

Whoever gives encoders by hand names them by the latents that they made, as the record of the model does.
"""

from collections.abc import Callable, Mapping
from typing import Any

from fusemix.encoders import ENCODERS
from fusemix.encoders.decoding import decoding_fingerprint
from fusemix.encoders.dtypes import AUTO, with_dtype
from fusemix.errors import FusemixError, RunError
from fusemix.interfaces import Encoder
from fusemix.models.fitting import Equal, encoder_differences
from fusemix.models.recipes import EncoderRecipe, NamedRecipe, code_of
from fusemix.models.trained import Trained
from fusemix.parts.trust import named_by_data, require_trust

UNKNOWN = {"name": "transformers_…", "options": {"model": "…"}}
How = Callable[[Mapping[str, EncoderRecipe]], str]
"""What may build encoders, by name -> how they are given, for a message."""


def by_hand(recipes: Mapping[str, EncoderRecipe]) -> str:
    """How encoders are given in Python."""
    return f"Give them by hand, as under encoders in the config of caching: encoders={dict(recipes)}."


def names_of(trained: Trained) -> dict[str, list[str]]:
    """Modality -> its latents, in the order of training, by names that one encoder alone has.

    That is the name of their store; and `modality/name` where two modalities have a store of the same name.
    """
    stores = _stores(trained)
    listed = [name for names in stores.values() for name in names]
    return {
        modality: [name if listed.count(name) == 1 else f"{modality}/{name}" for name in names]
        for modality, names in stores.items()
    }


def _stores(trained: Trained) -> dict[str, list[str]]:
    recorded = trained.record["config"]["encoders"]
    return {modality: list(recorded[modality]) for modality in trained.modalities}


def with_given(trained: Trained, given: Mapping[str, EncoderRecipe]) -> Trained:
    """The same, some of whose encoders are built by what the user gave; what builds the others, it says itself.

    Args:
        trained: the model.
        given: by the names of the latents that they made. Where two modalities have latents of that name, the encoder
            itself says whose it is, or the name: `text/imported`.

    Raises:
        RunError: the model has no latents of such a name.
    """
    recipes, stores = {modality: list(of) for modality, of in trained.recipes.items()}, _stores(trained)
    for name, recipe in given.items():
        found = [
            (modality, store) for modality in stores for store in stores[modality] if _is_called(name, modality, store)
        ]
        if len(found) > 1:
            found = [one for one in found if one[0] == _modality_of(name, recipe)]
        if not found:
            known = ", ".join(one for of in names_of(trained).values() for one in of)
            raise RunError(
                f"encoders.{name}: {trained.folder} was trained on no latents of that name. Encoders are given by the "
                f"names of the latents that they made: {known}."
            )
        modality, store = found[0]
        recipes[modality] = [
            NamedRecipe(store, recipe, is_given=True) if of == store else one
            for of, one in zip(stores[modality], recipes[modality], strict=True)
        ]
    return trained._replace(recipes=recipes)


def _is_called(name: str, modality: str, store: str) -> bool:
    return name in (store, f"{modality}/{store}")


def _modality_of(name: str, recipe: EncoderRecipe) -> str:
    try:
        return ENCODERS.build(recipe["name"], recipe.get("options") or {}).modality
    except FusemixError as error:
        raise RunError(f"encoders.{name}: {error}") from error


def matching_encoders(trained: Trained, modality: str, how: How = by_hand) -> dict[str, Encoder]:
    """The encoders of a modality by name, in the order of training.

    Args:
        trained: whose encoders they are.
        modality: that it knows.
        how: they are given, for the message.

    Raises:
        RunError: an encoder is not known, cannot be loaded, or is not the one that the model was trained with.
    """
    wanted = trained.record["encoders"][modality]
    problems: list[str] = []
    loaded: dict[str, Encoder] = {}
    for number, (named, recorded) in enumerate(zip(trained.recipes[modality], wanted, strict=True), start=1):
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
        examples = map(_example, trained.recipes[modality])
        fix = how(dict(zip(names_of(trained)[modality], examples, strict=True)))
        raise RunError(
            f"{trained.folder}: {modality} needs the encoders that the run was trained with:\n  {lines}\n{fix}"
        )
    return loaded


def _example(named: NamedRecipe) -> dict[str, Any]:
    return dict(named.recipe) if named.recipe and code_of(named.recipe) else UNKNOWN


def _built(named: NamedRecipe, recorded: Mapping[str, Any], trust_code: bool) -> Encoder:
    if named.recipe is None:
        says = ", ".join(f"{k} {v}" for k, v in recorded["encoder"].items() if isinstance(v, str) and len(v) < 60)
        raise RunError(f"nothing says what builds it. Its latents say: {says or 'nothing'}")
    options = named.recipe.get("options", {})
    if named.is_given:
        return built_again(named.recipe["name"], options, recorded)
    require_trust("the model", code_of(named.recipe), trust_code)
    with named_by_data():
        return built_again(named.recipe["name"], options, recorded)


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
    if encoder.modality != modality:
        return [f"encoder {number} is one of {encoder.modality}"]
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
