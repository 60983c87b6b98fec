"""A trained run as a model that travels, wired.

Place in the flow: ModelExportConfig -> Export -> the exported folder.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from fusemix import __version__
from fusemix.config import ModelExportConfig, PartConfig
from fusemix.disk.files import sha256_of_file, write_text
from fusemix.errors import RunError
from fusemix.fusion.checkpoints import CHECKPOINTS, about, read_checkpoint
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
from fusemix.models.recipes import NamedSource, code_of
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
        sources: modality -> what builds its encoders elsewhere.
        copies: place inside the export -> what is copied there, and what is left behind.
        reports: whose figures go on the card.
    """

    config: ModelExportConfig
    trained: Trained
    checkpoint: Mapping[str, Any]
    sources: dict[str, list[Travelling]]
    copies: dict[str, Parcel]
    reports: list[Report]

    @property
    def name(self) -> str:
        """Of the model: on the hub, or of the folder."""
        return self.config.push_to or Path(self.config.out).absolute().name

    @property
    def without_encoders(self) -> list[str]:
        """Modalities with an encoder that nothing says how to build."""
        return [modality for modality, listed in self.sources.items() if any(one.source is None for one in listed)]


def export_of(config: ModelExportConfig) -> Export:
    """Open the run and look at everything that can be wrong.

    Raises:
        RunError: the run, an encoder's folder or a report is missing or of another model; or `out` is taken.
        ConfigError: a package is not installed.
    """
    run = Path(config.model)
    if is_export(run):
        raise RunError(f"{run} is an exported model already: copy it as it is, or export the run that it came from.")
    _require_own_adapters(run, config.checkpoint)
    trained = _with_given(open_trained(run, config.checkpoint, trust_code=config.trust_code), config.encoders)
    require_replaceable(Path(config.out), config.overwrite)
    if config.onnx:
        onnx.require_packages()
    if config.sentence_transformers:
        sentence_transformers.require_possible(trained)
    if config.push_to:
        require_token(config.push_to)
    checkpoint = read_checkpoint(trained.file)
    reports = reports_of(config.reports, config.checkpoint, checkpoint, trained.record)
    for named in (named for listed in trained.sources.values() for named in listed if not named.is_given):
        require_trust(f"{run}", code_of(named.source), config.trust_code)
    places: dict[str, Path] = {}
    sources = _travelling(trained, places)
    copies = {place: parcel_of(path, _families_at(place, sources)) for place, path in places.items()}
    return Export(config, trained, checkpoint, sources, copies, reports)


def _families_at(place: str, sources: Mapping[str, Sequence[Travelling]]) -> set[str]:
    listed = chain.from_iterable(sources.values())
    return {one.source["name"] for one in listed if one.source and place in one.inside.values()}


def _require_own_adapters(run: Path, checkpoint: str) -> None:
    """Refuse adapters that cannot travel, before any is built."""
    file = run / CHECKPOINTS / f"{checkpoint}.ckpt"
    if file.is_file():
        require_own_adapters(about(read_checkpoint(file)), run)


def _travelling(trained: Trained, places: dict[str, Path]) -> dict[str, list[Travelling]]:
    sources: dict[str, list[Travelling]] = {}
    for modality, listed in trained.sources.items():
        pairs = zip(listed, trained.record["encoders"][modality], strict=True)
        for number, (named, recorded) in enumerate(pairs, 1):
            with _named(named):
                sources.setdefault(modality, []).append(travelling(modality, number, named, recorded, places))
    return sources


def _with_given(trained: Trained, given: Mapping[str, Sequence[PartConfig]]) -> Trained:
    """With the encoders that the user named in place of those that the run knows."""
    sources = dict(trained.sources)
    for modality, parts in given.items():
        trained.require_known(modality)
        known = sources[modality]
        if len(parts) != len(known):
            raise RunError(
                f"encoders.{modality} names {len(parts)}, and {trained.folder} was trained with {len(known)}."
            )
        found = zip(known, parts, strict=True)
        sources[modality] = [
            NamedSource(old.name, {"name": new.name, "options": new.options}, is_given=True) for old, new in found
        ]
    return trained._replace(sources=sources)


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
    write_model(folder, {**origin, "fusemix": __version__}, trained.record, trained.model, export.sources)
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
    recorded = export.trained.record["encoders"][modality]
    found = []
    for one, named, made in zip(export.sources[modality], export.trained.sources[modality], recorded, strict=True):
        with _named(named):
            found.append(encoder_facts(modality, one, made, folder))
    return found


def _named(named: NamedSource) -> AbstractContextManager[None]:
    """What builds an encoder was named by the run, unless the user gave it."""
    return nullcontext() if named.is_given else named_by_data()


def num_steps(export: Export) -> int:
    """What `write` counts."""
    of_onnx = len(export.trained.modalities) if export.config.onnx else 0
    return len(export.copies) + 1 + of_onnx + int(export.config.sentence_transformers)


def _check_copies(export: Export, folder: Path) -> None:
    """Build encoders from what was copied: it must be what the run was trained with."""
    found = read_export(folder, trust_code=True).sources  # that of the run or of the user, asked for before
    for modality, listed in export.sources.items():
        for number, one in enumerate(listed, start=1):
            source = found[modality][number - 1].source
            if one.inside and source:
                with _named(export.trained.sources[modality][number - 1]):
                    require_same(modality, number, source, export.trained.record["encoders"][modality][number - 1])


def write_card(export: Export, folder: Path) -> None:
    """Write README.md; licences are looked up on the hub where it can be reached."""
    config, record = export.config, export.trained.record
    settings = record["config"]
    kinds = {modality: settings["adapters"].get(modality, settings["adapter"])["name"] for modality in record["dims"]}
    extras = [extra for extra in ("onnx", "sentence_transformers") if getattr(config, extra)]
    facts = [fact for modality in export.sources for fact in _facts(export, folder, modality)]
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
        version=__version__,
    )
    write_text(folder / "README.md", render(card))
