"""What an index holds of an embedding, and what it is asked by.

Place in the flow: embeddings at the full width of the model -> index_vectors -> IndexWriter; and embeddings of queries
-> index_queries -> Index.search. Everything that a model embeds for an index goes through one of the two.
"""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
from jaxtyping import Float32

from fusemix.config import IndexConfig
from fusemix.errors import ConfigError
from fusemix.models.trained import Trained
from fusemix.models.width import cut, require_width
from fusemix.search.description import Description
from fusemix.search.precision import Precision


def index_vectors(
    embeddings: Float32[np.ndarray, "items width"], about: Description
) -> Float32[np.ndarray, "items dim"]:
    """Vectors of items as an index takes them.

    Args:
        embeddings: of the items, unit length.
        about: the index.
    """
    return cut(embeddings, about.dim)


def index_queries(
    embeddings: Float32[np.ndarray, "queries width"], about: Description
) -> Float32[np.ndarray, "queries dim"]:
    """Vectors of queries as an index is asked by them.

    Args:
        embeddings: of the queries, unit length.
        about: the index.
    """
    return cut(embeddings, about.dim)


def shaped(empty: Description, config: IndexConfig, trained: Trained) -> Description:
    """A new index with the width and the precision that are asked for.

    Raises:
        ConfigError: the model has no such width.
    """
    if config.dim is not None:
        require_width(config.dim, trained.model, trained.file)
    precision = cast("Precision", config.precision or empty.precision)
    return replace(empty, dim=empty.dim if config.dim is None else config.dim, precision=precision)


def require_same_shape(there: Description, config: IndexConfig, folder: Path) -> None:
    """Refuse another width or precision than an index has.

    Raises:
        ConfigError: another one is asked for.
    """
    for name in ("dim", "precision"):
        has, asked = getattr(there, name), getattr(config, name)
        if asked not in (None, has):
            raise ConfigError(
                f"{folder} has {name}={has}, and {name}={asked} is asked for. Leave it out to add to that index, or "
                f"make it again: fusemix index … --{name} {asked} --out {shlex.quote(str(folder))} --overwrite"
            )
