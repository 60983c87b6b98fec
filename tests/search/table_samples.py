"""Made-up items in an index, without any model."""

from datetime import datetime

import numpy as np
import pyarrow as pa

from fusemix.search.description import Description, read_description
from fusemix.search.folder import Index
from fusemix.search.table import ABOUT
from fusemix.search.writer import IndexWriter

DIM = 16
MODEL = {"name": "runs/x", "sha256": "0"}
SOURCES = [{"modality": "image"}, {"modality": "audio"}]


def made_up(count, seed=0, modality="image", dim=DIM):
    rows = np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    items = [
        {"id": f"{seed}/{n}", "modality": modality, "path": None, "captions": [], "source": 0, "row": n}
        for n in range(count)
    ]
    return rows, pa.Table.from_pylist(items, ABOUT)


def known(table):
    """Items with all kinds of columns; some know nothing."""
    rows = [
        {
            "path": f"{'a' if n % 2 else 'a b'}/{n % 3}/{n}.jpg" if n % 7 else f"{n}.jpg",
            "taken": datetime(2020 + n % 4, 1 + n % 12, 1 + n % 28, 23, 59, 59) if n % 5 else None,
            "camera": ["X100", 'O\'Neill "5" `D`', None][n % 3],
            "stars": float(n % 6) if n % 6 else None,
            "is_sharp": n % 2 == 0,
            "author": f"author {n % 4}",
        }
        for n in range(len(table))
    ]
    kinds = {"taken": pa.timestamp("s"), "camera": pa.string(), "stars": pa.float64(), "is_sharp": pa.bool_()}
    table = table.set_column(2, "path", pa.array([row["path"] for row in rows]))
    for name, kind in {**kinds, "author": pa.string()}.items():
        table = table.append_column(name, pa.array([row[name] for row in rows], kind))
    return table, [{**row, "folder": row["path"].rpartition("/")[0]} for row in rows]


def clustered(count, seed=0):
    rows, table = made_up(count, seed)
    rows += 2 * made_up(40)[0][np.random.default_rng(seed).integers(40, size=count)]
    return rows / np.linalg.norm(rows, axis=1, keepdims=True), table


def add(folder, *some, asked=dict):
    writer = IndexWriter(folder, read_description(folder) or Description(MODEL, DIM, sources=SOURCES))
    for rows, table in some:
        writer.add(rows, table)
    return writer.finish(asked)


def content(folder):
    index = Index(folder)
    everywhere = list(range(index.num_items))
    return index.vectors(everywhere), [item["id"] for item in index.items(everywhere)]
