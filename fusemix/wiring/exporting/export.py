"""A trained run as a model that travels, wired.

Place in the flow: ExportConfig -> Export -> the exported folder.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from fusemix import __version__
from fusemix.config import ExportConfig, to_plain
from fusemix.disk.files import sha256_of_file, write_text
from fusemix.encoders.loading import weights_sha256
from fusemix.errors import RunError
from fusemix.fusion.checkpoints import CHECKPOINTS, HUBS, about, read_checkpoint
from fusemix.models.embedder import Embedder
from fusemix.models.folder import (
    WEIGHTS,
    Travelling,
    is_export,
    read_export,
    require_own_adapters,
    require_replaceable,
    write_model,
)
from fusemix.models.hub import require_token
from fusemix.models.hubs import write_hubs
from fusemix.models.matching import names_of, with_given
from fusemix.models.recipes import NamedRecipe, code_of
from fusemix.models.trained import Trained, open_trained
from fusemix.parts.trust import named_by_data, require_trust
from fusemix.reports.reading import Report
from fusemix.wiring.exporting import onnx, sentence_transformers
from fusemix.wiring.exporting.card import Card, render
from fusemix.wiring.exporting.copies import require_same, travelling
from fusemix.wiring.exporting.encoder_facts import EncoderFacts, encoder_facts
from fusemix.wiring.exporting.facts import data_facts, reports_of, training_facts
from fusemix.wiring.exporting.parcels import Parcel, parcel_of, send


@dataclass(frozen=True)
class Export:
    """All that is known before anything is written.

    Attributes:
        config: as given.
        trained: the run.
        checkpoint: of the run, whole.
        recipes: modality -> what builds its encoders elsewhere.
        copies: place inside the export -> what is copied there, and what is left behind.
        reports: whose figures go on the card.
    """

    config: ExportConfig
    trained: Trained
    checkpoint: Mapping[str, Any]
    recipes: dict[str, list[Travelling]]
    copies: dict[str, Parcel]
    reports: list[Report]

    @property
    def name(self) -> str:
        """Of the model: on the hub, or of the folder."""
        return self.config.push_to or Path(self.config.out).absolute().name

    @property
    def without_encoders(self) -> list[str]:
        """Encoders that nothing says how to build, by the names of their latents."""
        names = names_of(self.trained)
        pairs = (zip(names[modality], listed, strict=True) for modality, listed in self.recipes.items())
        return [name for name, one in chain.from_iterable(pairs) if one.recipe is None]


def export_of(config: ExportConfig) -> Export:
    """Open the run and look at everything that can be wrong.

    Raises:
        RunError: the run, an encoder's folder or a report is missing or of another model; or `out` is taken.
        ConfigError: a package is not installed.
    """
    run = Path(config.model)
    if is_export(run):
        raise RunError(f"{run} is an exported model already: copy it as it is, or export the run that it came from.")
    _require_own_adapters(run, config.checkpoint)
    given = {name: to_plain(part) for name, part in config.encoders.items()}
    trained = with_given(open_trained(run, config.checkpoint, trust_code=config.trust_code), given)
    require_replaceable(Path(config.out), config.overwrite)
    if config.onnx:
        onnx.require_packages()
    if config.sentence_transformers:
        sentence_transformers.require_possible(trained)
    if config.push_to:
        require_token(config.push_to)
    checkpoint = read_checkpoint(trained.file)
    reports = reports_of(config.reports, config.checkpoint, checkpoint, trained.record)
    for named in (named for listed in trained.recipes.values() for named in listed if not named.is_given):
        require_trust(f"{run}", code_of(named.recipe), config.trust_code)
    places: dict[str, Path] = {}
    recipes = _travelling(trained, places)
    copies = {place: parcel_of(path, _families_at(place, recipes)) for place, path in places.items()}
    return Export(config, trained, checkpoint, recipes, copies, reports)


def _families_at(place: str, recipes: Mapping[str, Sequence[Travelling]]) -> set[str]:
    listed = chain.from_iterable(recipes.values())
    return {one.recipe["name"] for one in listed if one.recipe and place in one.inside.values()}


def _require_own_adapters(run: Path, checkpoint: str) -> None:
    """Refuse adapters that cannot travel, before any is built."""
    file = run / CHECKPOINTS / f"{checkpoint}.ckpt"
    if file.is_file():
        require_own_adapters(about(read_checkpoint(file)), run)


def _travelling(trained: Trained, places: dict[str, Path]) -> dict[str, list[Travelling]]:
    recipes: dict[str, list[Travelling]] = {}
    for modality, listed in trained.recipes.items():
        pairs = zip(listed, trained.record["encoders"][modality], strict=True)
        for number, (named, recorded) in enumerate(pairs, 1):
            with _named(named):
                recipes.setdefault(modality, []).append(travelling(modality, number, named, recorded, places))
    return recipes


def write(export: Export, folder: Path, advance: Callable[[int], None]) -> None:
    """Write everything but the card, and check what can be checked.

    Args:
        export: what to write.
        folder: that receives it.
        advance: called with the number of steps just done; there are `num_steps`.

    Raises:
        RunError: a copied encoder, ONNX or sentence-transformers would give other vectors.
    """
    trained = export.trained
    for place, parcel in export.copies.items():
        send(parcel, folder / place)
        advance(1)
    origin = {"name": export.name, "checkpoint": export.config.checkpoint, "epoch": export.checkpoint["epoch"]}
    write_model(folder, {**origin, "fusemix": __version__}, trained.record, trained.model, export.recipes)
    if trained.hubs is not None:
        write_hubs(folder / HUBS, trained.hubs, weights_sha256(trained.model))
    _check_copies(export, folder)
    advance(1)
    if export.config.onnx:
        for modality in trained.modalities:
            onnx.write_onnx(folder, trained.model, modality, _about_adapter(export, folder, modality))
            advance(1)
    if export.config.sentence_transformers:
        sentence_transformers.write_modules(folder, Embedder(folder, device="cpu"))
        advance(1)


def _about_adapter(export: Export, folder: Path, modality: str) -> dict[str, Any]:
    """What a file of one adapter says of itself, for whoever has nothing but the file."""
    said = ("model", "pooling", "settings", "latents")
    return {
        "model": export.name,
        "modality": modality,
        "weights_sha256": sha256_of_file(folder / WEIGHTS),
        "license": export.config.license or "not stated",
        "input": "latents as the encoders give them, not normalised, side by side in this order",
        "encoders": [{key: getattr(fact, key) for key in said} for fact in _facts(export, folder, modality)],
        "output": "embeddings of unit length, to be compared with those of this model's other modalities",
    }


def _facts(export: Export, folder: Path, modality: str) -> list[EncoderFacts]:
    trained = export.trained
    listed = (export.recipes[modality], trained.recipes[modality], trained.record["encoders"][modality])
    found = []
    for name, one, named, made in zip(names_of(trained)[modality], *listed, strict=True):
        with _named(named):
            found.append(encoder_facts(modality, one._replace(name=name), made, folder))
    return found


def _named(named: NamedRecipe) -> AbstractContextManager[None]:
    """What builds an encoder was named by the run, unless the user gave it."""
    return nullcontext() if named.is_given else named_by_data()


def num_steps(export: Export) -> int:
    """What `write` counts."""
    of_onnx = len(export.trained.modalities) if export.config.onnx else 0
    return len(export.copies) + 1 + of_onnx + int(export.config.sentence_transformers)


def _check_copies(export: Export, folder: Path) -> None:
    """Build encoders from what was copied: it must be what the run was trained with."""
    found = read_export(folder, trust_code=True).recipes  # that of the run or of the user, asked for before
    for modality, listed in export.recipes.items():
        for number, one in enumerate(listed, start=1):
            built_here = found[modality][number - 1]
            if one.inside and built_here.recipe:
                with _named(export.trained.recipes[modality][number - 1]):
                    require_same(modality, number, built_here, export.trained.record["encoders"][modality][number - 1])


def write_card(export: Export, folder: Path) -> None:
    """Write README.md; licences are looked up on the hub where it can be reached."""
    config, record = export.config, export.trained.record
    settings = record["config"]
    kinds = {modality: settings["adapters"].get(modality, settings["adapter"])["name"] for modality in record["dims"]}
    extras = [extra for extra in ("onnx", "sentence_transformers") if getattr(config, extra)]
    facts = [fact for modality in export.recipes for fact in _facts(export, folder, modality)]
    card = Card(
        name=export.name,
        dim=export.trained.model.width,
        parameters=export.trained.model.num_parameters(),
        adapters=kinds,
        encoders=facts,
        data=data_facts(record, export.trained.folder),
        reports=export.reports,
        training=training_facts(record, config.checkpoint, export.checkpoint),
        license=config.license,
        extras=extras,
        is_turned=export.trained.model.rotation is not None,
        corrected=export.trained.hubs.corrected if export.trained.hubs else [],
        version=__version__,
    )
    write_text(folder / "README.md", render(card))
