"""fusemix: align frozen encoders in one space, on one GPU.

Importing this package is cheap: the names below load their module on first use.
"""

from importlib import import_module

__version__ = "0.1.0"

_PUBLIC = {
    "Encoder": "fusemix.interfaces",
    "FittedModel": "fusemix.api.fit",
    "FusemixError": "fusemix.errors",
    "Items": "fusemix.interfaces",
    "LatentSet": "fusemix.latents.sets",
    "LatentStore": "fusemix.latents.store",
    "Model": "fusemix.models.model",
    "PairSet": "fusemix.interfaces",
    "Report": "fusemix.api.report",
    "Run": "fusemix.api.run",
    "SearchIndex": "fusemix.api.search",
    "Study": "fusemix.api.study",
    "Waveform": "fusemix.interfaces",
    "cache_features": "fusemix.api.stages",
    "eval_retrieval": "fusemix.api.stages",
    "fit": "fusemix.api.fit",
    "generate": "fusemix.api.stages",
    "index": "fusemix.api.stages",
    "load": "fusemix.models.model",
    "select": "fusemix.api.stages",
    "study": "fusemix.api.stages",
    "train": "fusemix.api.stages",
}
__all__ = [*sorted(_PUBLIC), "__version__"]  # noqa: PLE0604  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'fusemix' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)
