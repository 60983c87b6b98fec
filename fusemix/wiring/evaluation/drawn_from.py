"""Agreement of generated pictures with what they were drawn from, in the space of a model.

Place in the flow: Pairs + Embedder -> embeddings of pictures and of queries -> retrieval/agreement.py, by modality.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from fusemix.config import GenerationEvalConfig, to_plain
from fusemix.disk.files import sha256_of_file
from fusemix.encoders.given import Given
from fusemix.encoders.loading import weights_sha256
from fusemix.errors import ConfigError
from fusemix.interfaces import Items, Rejected
from fusemix.models.embedder import Embedder
from fusemix.progress import counting
from fusemix.reports.drawn import GENERATED
from fusemix.retrieval.agreement import Agreement, agreement
from fusemix.wiring.evaluation.pairs import Pairs, Query, Term, kind_of, name_of, pairs_of
from fusemix.wiring.evaluation.pictures import Folder, num_workers_of

SHORTEST_SUM = 1e-3
"""A sum of unit vectors that is shorter is noise; see also the queries of a search."""


class Judge(NamedTuple):
    """A model, and what pictures were drawn from.

    Attributes:
        embedder: the model.
        checkpoint: of a run.
        pairs: which picture was drawn from what.
        table: that says so.
    """

    embedder: Embedder
    checkpoint: str
    pairs: Pairs
    table: Path

    def about(self) -> dict[str, str]:
        """What a report says of the model."""
        return {"name": self.embedder.trained.folder.resolve().name, "checkpoint": self.checkpoint}

    def identity(self) -> dict[str, str]:
        """By what model and table are known again."""
        return {"sha256": weights_sha256(self.embedder.trained.model), "pairs": sha256_of_file(self.table)}


class Agreed(NamedTuple):
    """What was measured.

    Attributes:
        of_kind: modality of queries -> agreement of their pictures.
        cosines: file of a picture -> its query, and its cosine with it.
        unpaired: pictures that the table does not name.
        rejected: pictures and queries that could not be embedded; pictures of such queries take no part.
    """

    of_kind: Mapping[str, Agreement]
    cosines: Mapping[str, tuple[Query, float]]
    unpaired: int
    rejected: Sequence[Rejected]

    def flat(self, field: str) -> dict[str, Any]:
        """`<modality>/<name>` -> value, of one field of `Agreement`."""
        return {
            f"{kind}/{name}": value for kind, one in self.of_kind.items() for name, value in getattr(one, field).items()
        }


NOTHING_AGREED = Agreed({}, {}, 0, ())


def judge_of(config: GenerationEvalConfig, folder: Folder, device: str) -> Judge | None:
    """The model and the table of what pictures were drawn from; None where no model is given.

    Raises:
        ConfigError: the table is missing, damaged, or names other pictures.
        RunError: there is no such model, or it knows nothing of pictures, or of a modality of the queries.
    """
    if config.model is None:
        return None
    table = Path(config.pairs) if config.pairs else folder.path / GENERATED
    pairs = pairs_of(table, Path(config.queries) if config.queries else None, folder.ids)
    recipes = {name: to_plain(part) for name, part in config.encoders.items()}
    embedder = Embedder(config.model, config.checkpoint, recipes, device, trust_code=config.trust_code)
    for modality in ("image", *(term.modality for query in pairs.queries for term in query)):
        embedder.trained.require_known(modality)
    return Judge(embedder, config.checkpoint, pairs, table)


def agreed(judge: Judge, folder: Folder, config: GenerationEvalConfig) -> Agreed:
    """Embed pictures and queries, and sum up how they agree.

    Args:
        judge: the model and the pairs.
        folder: of the pictures.
        config: how many at once, and the seed.

    Raises:
        ConfigError: no picture has a query that can be embedded.
    """
    pairs, rejected = judge.pairs, list[Rejected]()
    queries = _embedded_queries(judge.embedder, pairs.queries, config, rejected)
    rows = [row for row, file in enumerate(folder.ids) if file in pairs.query_of]
    items = folder.items.take(np.array(rows))
    files = items.table["id"].to_pylist()
    vectors = _embedded(judge.embedder, items, config, rejected)
    found = {
        file: vector
        for file, vector in zip(files, vectors, strict=True)
        if np.isfinite(vector).all() and pairs.query_of[file] in queries
    }
    if not found:
        raise ConfigError(_none(pairs, config, rejected))
    of_kind, cosines = dict[str, Agreement](), dict[str, tuple[Query, float]]()
    for kind in dict.fromkeys(map(kind_of, pairs.queries)):
        mine = [file for file in found if kind_of(pairs.queries[pairs.query_of[file]]) == kind]
        if not mine:
            continue
        numbers, owners = np.unique([pairs.query_of[file] for file in mine], return_inverse=True)
        asked, drawn = (np.stack(some) for some in ([queries[n] for n in numbers.tolist()], [found[f] for f in mine]))
        of_kind[kind] = agreement(drawn, asked, owners, seed=config.seed)
        for file, cosine in zip(mine, of_kind[kind].cosines.tolist(), strict=True):
            cosines[file] = pairs.queries[pairs.query_of[file]], cosine
    return Agreed(of_kind, cosines, len(folder.items) - len(rows), rejected)


def _none(pairs: Pairs, config: GenerationEvalConfig, rejected: Sequence[Rejected]) -> str:
    first = f": {rejected[0].id}: {rejected[0].reason}" if rejected else ""
    hint = "" if config.queries else " Name the folder that their files lie in by queries=FOLDER."
    return f"pairs: none of {len(pairs.queries):,} queries can be compared with a picture{first}.{hint}"


def _embedded_queries(
    embedder: Embedder, queries: Sequence[Query], config: GenerationEvalConfig, rejected: list[Rejected]
) -> dict[int, Float[np.ndarray, " dim"]]:
    """Number of a query -> its unit vector; those of which a term cannot be embedded are left out."""
    terms = [term for query in queries for term in query]
    changed = {(term.modality, term.content) for term in terms if _is_another(term, rejected)}
    vectors = {}
    for modality in dict.fromkeys(term.modality for term in terms):
        contents = {term.content: None for term in terms if term.modality == modality}
        mine = [content for content in contents if (modality, content) not in changed]
        if mine:
            items = Items(modality, pa.table({"id": mine}), Given(mine, modality, None).__getitem__)
            of_each = zip(mine, _embedded(embedder, items, config, rejected), strict=True)
            vectors |= {(modality, content): vector for content, vector in of_each if np.isfinite(vector).all()}
    found = {}
    for number, query in enumerate(queries):
        if all((term.modality, term.content) in vectors for term in query):
            total = sum(term.weight * vectors[term.modality, term.content] for term in query)
            if (length := float(np.linalg.norm(total))) >= SHORTEST_SUM:
                found[number] = total / np.float32(length)
            else:
                rejected.append(Rejected(name_of(query), "encode", "the terms of the sum cancel out"))
    return found


def _is_another(term: Term, rejected: list[Rejected]) -> bool:
    """Whether a file has another content than was drawn from, which is noted."""
    path = Path(term.content)
    is_another = term.sha256 is not None and path.is_file() and sha256_of_file(path) != term.sha256
    if is_another:
        rejected.append(Rejected(term.content, "dataset", "it has another content than what was drawn from"))
    return is_another


def _embedded(
    embedder: Embedder, items: Items, config: GenerationEvalConfig, rejected: list[Rejected]
) -> Float[np.ndarray, "items dim"]:
    with counting(f"{items.modality} items compared", len(items)) as advance:
        ((_, found),) = embedder.embed_items(
            items,
            [range(len(items))],
            batch_size=config.batch_size,
            num_workers=num_workers_of(config),
            advance=lambda count, aside: advance(count),
        )
    rejected += found.rejected
    return found.embeddings
