"""What the card says of an encoder.

Place in the flow: what builds it elsewhere, fingerprint of its latents -> EncoderFacts -> card.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from fusemix.encoders import HUB_PREFIXES
from fusemix.models.folder import Travelling
from fusemix.models.licences import (
    UNKNOWN,
    distribution_of,
    licence_of_folder,
    licence_of_hub_model,
    licence_of_package,
)
from fusemix.models.recipes import code_of
from fusemix.parts.extras import packages_of

IN_FOLDER = "in this folder"
OF_EXTRAS = {
    "hog": ("demo", "scikit-image"),
    "sentence_transformers": ("sentence-transformers", "sentence-transformers"),
}
"""Families that need more than fusemix by itself installs -> an extra, and the package of it that they need."""


@dataclass(frozen=True)
class EncoderFacts:
    """One encoder, in words for people.

    Attributes:
        modality: that it encodes.
        name: of its latents, as encoders are given by hand.
        recipe: what builds it elsewhere, paths being relative to the export; None where nothing says it.
        model: its own name.
        revision: commit on the hub, or where else its weights are from.
        pooling: how its states become one vector.
        settings: layer, prefix, length and what else changes its vectors.
        latents: width, and the dtype that they were rounded to.
        licence: of its weights.
        hub_name: on the hub, where it has one.
        packages: what must be installed for it beside fusemix, as pip takes it.
    """

    modality: str
    name: str
    recipe: Mapping[str, Any] | None
    model: str
    revision: str
    pooling: str
    settings: str
    latents: str
    licence: str
    hub_name: str | None = None
    packages: tuple[str, ...] = ()

    @property
    def asks_first(self) -> bool:
        """Whether it must be given by hand, since building it runs code that is not fusemix's own."""
        return bool(code_of(self.recipe))


def encoder_facts(modality: str, one: Travelling, recorded: Mapping[str, Any], folder: Path) -> EncoderFacts:
    """Facts of one encoder.

    Args:
        modality: of the encoder.
        one: what builds it elsewhere.
        recorded: fingerprint of its latents.
        folder: of the export, with what was copied into it.
    """
    made_by = recorded["encoder"]
    known: dict[str, Any] = {
        "model": str(made_by.get("model") or made_by.get("family") or one.name),
        "revision": str(made_by.get("revision") or "none"),
        "pooling": str(made_by.get("pooling") or "its own"),
        "settings": settings_of(made_by),
        "latents": f"{recorded['dim']:,}, {recorded['dtype']}",
        "licence": UNKNOWN if made_by.get("weights_sha256") else "no weights",
    }
    if one.recipe:
        family = one.recipe["name"]
        known["packages"] = tuple(_packages_of(family))
    recipe = one.recipe and {"name": one.recipe["name"], "options": {**one.recipe["options"], **one.inside}}
    return EncoderFacts(modality, one.name, recipe, **(known | _whence(one, made_by, folder)))


def _packages_of(family: str) -> list[str]:
    if ":" in family:
        return [distribution_of(family)]
    if family not in OF_EXTRAS:
        return []
    extra, package = OF_EXTRAS[family]
    return [one for one in packages_of(extra) if Requirement(one).name == package]


def _whence(one: Travelling, made_by: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Where its weights are from, and their licence."""
    if one.inside:
        return {"revision": IN_FOLDER, "licence": licence_of_folder(folder / next(iter(one.inside.values())))}
    if one.recipe is None:
        return {}
    model, revision = str(one.recipe["options"].get("model", "")), one.recipe["options"].get("revision")
    if ":" in model and not model.startswith(HUB_PREFIXES):
        return {"revision": "as installed", "licence": licence_of_package(model), "packages": (distribution_of(model),)}
    on_hub = hub_name_of(str(made_by.get("revision"))) if made_by.get("family") == "timm" else hub_name_of(model)
    if on_hub is None:
        return {}
    pinned = revision or model.partition("@")[2] or None
    return {
        "hub_name": on_hub,
        "revision": pinned or "not pinned",
        "licence": licence_of_hub_model(on_hub, pinned),
    }


def settings_of(made_by: Mapping[str, Any]) -> str:
    """What changes an encoder's vectors beside its weights and its pooling, in words.

    Args:
        made_by: the encoder's part of a fingerprint.
    """
    length = made_by.get("max_length") or (made_by.get("preprocessing") or {}).get("max_length")
    said = {
        "layer": made_by.get("layer"),
        "prefix": repr(made_by["prefix"]) if made_by.get("prefix") else None,
        "prompt": repr(made_by["prompt"]) if made_by.get("prompt") else None,
        "texts cut to": f"{length:,} tokens" if length else None,
        "windows of": f"{made_by['window_samples']:,} samples" if made_by.get("window_samples") else None,
        "computed in": made_by.get("dtype") if made_by.get("dtype") != "float32" else None,
    }
    return ", ".join(f"{name} {value}" for name, value in said.items() if value is not None) or "none"


def hub_name_of(model: str) -> str | None:
    """organisation/model in an encoder's option: `hf-hub:org/name@revision` holds one, `ViT-B-32` holds none."""
    for prefix in HUB_PREFIXES:
        model = model.removeprefix(prefix)
    name = model.partition("@")[0]
    return name if name.count("/") == 1 else None
