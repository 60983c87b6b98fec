"""Adapters for onnxruntime: one file a modality, checked against torch.

Place in the flow: FusionModel -> onnx/<modality>.onnx: latents as encoders give them -> embeddings of unit length.
Not here: the encoders, for which others have exporters.
"""

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from fusemix import __version__
from fusemix.errors import ConfigError, RunError, first_line
from fusemix.fusion.model import FusionModel
from fusemix.parts.extras import install, packages_of

FOLDER = "onnx"
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
TOLERANCE = 1e-5
"""How far a number of an embedding may lie from torch's."""
BATCHES = (1, 7)
"""Sizes that are tried: a graph may fit only the one that it was traced with."""
TRACED = 2
"""Rows that the graph is traced with; with one, the batch would count as a constant."""


class OneModality(nn.Module):
    """What a file holds: preprocessing, adapter and unit length of one modality.

    Args:
        model: of all modalities.
        modality: of this one.
    """

    def __init__(self, model: FusionModel, modality: str) -> None:
        super().__init__()
        self.model, self.modality = model, modality

    def forward(self, latents: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch width"]:
        """Embed."""
        return self.model.embed(self.modality, latents)


def require_packages() -> None:
    """Refuse to begin without what writing and running ONNX needs.

    Raises:
        ConfigError: a package is not installed.
    """
    for package in PACKAGES:
        try:
            import_module(package)
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"onnx=true needs the package {error.name}. Install it with: {install(packages_of('onnx'))}"
            ) from error


def write_onnx(folder: Path, model: FusionModel, modality: str, about: Mapping[str, Any] | None = None) -> Path:
    """Write one modality's adapter, and compare it with torch.

    Args:
        folder: of the export.
        model: with its weights, in evaluation mode.
        modality: that it knows.
        about: where the model is from; it goes into the file's metadata, text unchanged and all else as JSON.

    Raises:
        RunError: torch cannot write this adapter as ONNX, or onnxruntime gives other embeddings.
    """
    path = folder / FOLDER / f"{modality}.onnx"
    path.parent.mkdir(exist_ok=True)
    alone = OneModality(model, modality).eval()
    width = sum(model.dims[modality])
    try:
        with _quiet():
            program = torch.onnx.export(
                alone,
                (torch.randn(TRACED, width),),
                input_names=["latents"],
                output_names=["embeddings"],
                dynamic_shapes={"latents": {0: torch.export.Dim("batch")}},
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # whatever torch raises, it means one thing: it does not know how
        first = first_line(error)
        raise RunError(f"the {modality} adapter cannot be written as ONNX: {first} Leave out onnx=true.") from error
    assert program is not None, "dynamo=True gives a program"
    _describe(program.model, about or {})
    program.save(path)  # weights beyond 2 GB, which one such file cannot hold, go to a file beside it
    check_onnx(path, model, modality)
    return path


def _describe(graph: Any, about: Mapping[str, Any]) -> None:
    """What people want to know, in place of what torch notes at each node: our modules, and where their files lie."""
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass  # of onnxscript, which is an extra

    ClearMetadataAndDocStringPass()(graph)
    graph.producer_name, graph.producer_version = "fusemix", __version__
    for key, value in about.items():
        graph.metadata_props[key] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def check_onnx(path: Path, model: FusionModel, modality: str) -> None:
    """Compare what onnxruntime makes of random latents with what torch makes of them.

    Raises:
        RunError: they differ.
    """
    for rows in BATCHES:
        latents = np.random.default_rng(rows).standard_normal((rows, sum(model.dims[modality]))).astype(np.float32)
        with torch.inference_mode():
            wanted = model.embed(modality, torch.from_numpy(latents)).numpy()
        apart = float(np.abs(run_onnx(path, latents) - wanted).max())
        if not apart <= TOLERANCE:
            raise RunError(
                f"onnxruntime gives other {modality} embeddings than torch for {rows} latents: they are {apart:.1g} "
                f"apart, where {TOLERANCE:g} is allowed. Leave out onnx=true, and report it with the versions of torch "
                "and onnx."
            )


def run_onnx(path: Path, latents: Float[np.ndarray, "batch dim"]) -> Float[np.ndarray, "batch width"]:
    """Embeddings by onnxruntime, on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["embeddings"], {"latents": latents})[0])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter prints about its own steps; its errors are still raised."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
