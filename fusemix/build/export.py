"""A trained run as a model that travels, wired.

Place in the flow: ModelExportConfig -> Export -> the exported folder.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fusemix import __version__
from fusemix.build.embedding import Embedder
from fusemix.build.sources import NamedSource
from fusemix.build.trained import Trained, open_trained
from fusemix.build.travel import onnx, sentence_transformers
from fusemix.build.travel.card import Card, render
from fusemix.build.travel.encoder_facts import encoder_facts
from fusemix.build.travel.facts import data_facts, reports_of, training_facts
from fusemix.build.travel.folder import (
    Travelling,
    is_export,
    read_export,
    require_own_adapters,
    require_replaceable,
    write_model,
)
from fusemix.build.travel.hub import require_token
from fusemix.build.travel.sources import copy, require_same, travelling
from fusemix.config import ModelExportConfig, PartConfig
from fusemix.errors import RunError
from fusemix.files import write_text
from fusemix.fusion.checkpoints import read_checkpoint
from fusemix.retrieval.reports.reading import Report


@dataclass(frozen=True)
class Export:
    """All that is known before anything is written.

    Attributes:
        config: as given.
        trained: the run.
        checkpoint: of the run, whole.
        sources: modality -> what builds its encoders elsewhere.
        copies: place inside the export -> what is copied there.
        reports: whose figures go on the card.
    """

    config: ModelExportConfig
    trained: Trained
    checkpoint: Mapping[str, Any]
    sources: dict[str, list[Travelling]]
    copies: dict[str, Path]
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
    trained = _with_given(open_trained(run, config.checkpoint), config.encoders)
    require_own_adapters(trained.record, run)
    require_replaceable(Path(config.out), config.overwrite)
    if config.onnx:
        onnx.require_packages()
    if config.sentence_transformers:
        sentence_transformers.require_possible(trained)
    if config.push_to:
        require_token(config.push_to)
    checkpoint = read_checkpoint(trained.file)
    reports = reports_of(config.reports, config.checkpoint, checkpoint, trained.record)
    copies: dict[str, Path] = {}
    sources = {
        modality: [
            travelling(modality, number, named, recorded, copies)
            for number, (named, recorded) in enumerate(
                zip(listed, trained.record["encoders"][modality], strict=True), 1
            )
        ]
        for modality, listed in trained.sources.items()
    }
    return Export(config, trained, checkpoint, sources, copies, reports)


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
        sources[modality] = [NamedSource(old.name, {"name": new.name, "options": new.options}) for old, new in found]
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
    for place, source in export.copies.items():
        copy(source, folder / place)
        advance(1)
    about = {"name": export.name, "checkpoint": export.config.checkpoint, "epoch": export.checkpoint["epoch"]}
    write_model(folder, {**about, "fusemix": __version__}, trained.record, trained.model, export.sources)
    _check_copies(export, folder)
    advance(1)
    if export.config.onnx:
        for modality in trained.modalities:
            onnx.write_onnx(folder, trained.model, modality)
            advance(1)
    if export.config.sentence_transformers:
        sentence_transformers.write_modules(folder, Embedder(folder, device="cpu"))
        advance(1)


def num_steps(export: Export) -> int:
    """What `write` counts."""
    of_onnx = len(export.trained.modalities) if export.config.onnx else 0
    return len(export.copies) + 1 + of_onnx + int(export.config.sentence_transformers)


def _check_copies(export: Export, folder: Path) -> None:
    """Build encoders from what was copied: it must be what the run was trained with."""
    found = read_export(folder).sources
    for modality, listed in export.sources.items():
        for number, one in enumerate(listed, start=1):
            source = found[modality][number - 1].source
            if one.inside and source:
                require_same(modality, number, source, export.trained.record["encoders"][modality][number - 1])


def _dim(trained: Trained) -> int:
    modality, widths = next(iter(trained.record["dims"].items()))
    with torch.inference_mode():
        return trained.model.embed(modality, torch.zeros(1, sum(widths))).shape[1]


def write_card(export: Export, folder: Path) -> None:
    """Write README.md; licences are looked up on the hub where it can be reached."""
    config, record = export.config, export.trained.record
    settings = record["config"]
    kinds = {modality: settings["adapters"].get(modality, settings["adapter"])["name"] for modality in record["dims"]}
    extras = [extra for extra in ("onnx", "sentence_transformers") if getattr(config, extra)]
    facts = [
        encoder_facts(modality, one, recorded, folder)
        for modality, listed in export.sources.items()
        for one, recorded in zip(listed, record["encoders"][modality], strict=True)
    ]
    card = Card(
        name=export.name,
        dim=_dim(export.trained),
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
