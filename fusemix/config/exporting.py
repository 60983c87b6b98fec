"""Settings of models that travel.

Place in the flow: see fusemix/config/__init__.py.
"""

import re
from dataclasses import dataclass, field
from typing import Literal

from fusemix.config.parts import PartConfig
from fusemix.config.writing import WritingConfig
from fusemix.errors import ConfigError
from fusemix.parts.kinds import Location

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
"""organisation/model, as the hub calls it."""


@dataclass(frozen=True, kw_only=True)
class ExportConfig(WritingConfig):
    """Write a trained model as a folder that loads on any machine, by path or by its name on the hub."""

    model: Location
    """Folder of the run."""
    checkpoint: Literal["best", "last"] = "best"
    """Best on validation, or the last epoch."""
    out: Location
    """Folder that receives the model."""
    encoders: dict[str, PartConfig] = field(default_factory=dict)
    """Encoders by the names of the latents that they made, where the run does not know what builds them, or they have
    moved."""
    reports: list[Location] = field(default_factory=list)
    """Report folders (or report.json files) of this model, whose figures go on the card."""
    onnx: bool = False
    """Also write each modality's adapter for onnxruntime, as onnx/<modality>.onnx."""
    sentence_transformers: bool = False
    """Also write what makes the folder a model of sentence-transformers, which runs where fusemix is installed."""
    trust_code: bool = False
    """Run code that the run names, where its encoders are not fusemix's own; those given here run anyway."""
    license: str | None = None
    """Of the adapters, as the hub names it, such as apache-2.0; it goes on the card."""
    push_to: str | None = None
    """organisation/model: upload the folder to the hub."""
    private: bool = True
    """Whether a repository that is made on the hub is private."""

    def __post_init__(self) -> None:
        """Check what can be checked without data."""
        super().__post_init__()
        if self.push_to is not None and not HUB_NAME.fullmatch(self.push_to):
            raise ConfigError(f"push_to is {self.push_to!r}, but must be organisation/model, as the hub names it.")
