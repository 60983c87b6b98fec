"""Add items to an index, or remove some.

Place in the flow: vectors and items, some at a time -> commits of the table -> seals, and what index.json says.
Not here: keeping a second command out (locks.py), choosing how far searches look (tuning.py).

What `add` was given stays, at whatever line a writer is killed.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Float32

from fusemix.errors import IndexFolderError
from fusemix.search.description import TABLE, Description, system_error_in, write_description
from fusemix.search.seals import seal
from fusemix.search.table import conformed, empty_table, open_table, quoted, rows_of, widen
from fusemix.search.tuning import KEPT_FOR, Samples, index_words, tuned

MOST_FRAGMENTS = 32
"""Pieces of a table; more are put together when a command ends."""
REMOVED_AT_ONCE = 1_000
AT_ONCE = timedelta(milliseconds=1)


@contextmanager
def telling_system_errors(folder: Path) -> Iterator[None]:
    """What the system says of a file that cannot be written becomes its error again, about the index."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        if number := system_error_in(error):
            raise OSError(number, os.strerror(number), str(folder)) from error
        raise


class IndexWriter:
    """Adds to an index; `finish` when all is added.

    Args:
        folder: of the index; may be empty.
        description: of the index as it is going to be; written at once, since items name its sources.
    """

    def __init__(self, folder: Path, description: Description) -> None:
        self.folder, self.description = folder, description
        folder.mkdir(parents=True, exist_ok=True)
        _require_own_place(folder / TABLE)
        write_description(folder, description)
        self._table = open_table(folder)
        self._is_new = self._table is None

    def add(self, vectors: Float32[np.ndarray, "items width"], about: pa.Table) -> None:
        """Add items, in one commit.

        Args:
            vectors: unit length, each with what is added to its scores.
            about: one row an item, with the columns of `table.ABOUT` and any that are filtered by.
        """
        with telling_system_errors(self.folder):
            if self._table is None:
                self._table = empty_table(self.folder, self.description.width, self.description.precision)
            if len(vectors):
                widen(self._table, about.schema)
                about = conformed(about, self._table.schema)
                self._table.add(rows_of(vectors, about, self.description.precision))

    def remove(self, ids: Sequence[str]) -> None:
        """Remove items; from then on nobody finds them."""
        if self._table is None:
            return
        with telling_system_errors(self.folder):
            for at in range(0, len(ids), REMOVED_AT_ONCE):
                some = ", ".join(quoted(one) for one in ids[at : at + REMOVED_AT_ONCE])
                self._table.delete(f"id IN ({some})")

    def touch(self, states: pa.Table) -> None:
        """Note that files have other times, and the content that they had.

        Args:
            states: `id`, and columns of `table.STATE`.
        """
        if self._table is not None and len(states):
            with telling_system_errors(self.folder):
                self._table.merge_insert("id").when_matched_update_all().execute(states)

    def finish(self, samples: Samples) -> Description:
        """Put the table in order, and say what is there now.

        Args:
            samples: what the index is going to be asked.
        """
        with telling_system_errors(self.folder):
            self._put_in_order(samples)
        write_description(self.folder, self.description)
        seal(self.folder)
        return self.description

    def _put_in_order(self, samples: Samples) -> None:
        if self._table is not None:
            if self._table.stats()["fragment_stats"]["num_fragments"] > MOST_FRAGMENTS:
                kept_for = AT_ONCE if self._is_new else KEPT_FOR  # nobody reads what was never finished
                self._table.optimize(cleanup_older_than=kept_for)
            index_words(self._table)
            self.description = tuned(self._table, self.description, samples)


def _require_own_place(folder: Path) -> None:
    if folder.is_symlink():
        raise IndexFolderError(
            f"{folder} is a symbolic link, and nothing is written or deleted through one. Put what it leads to in its "
            "place, or choose another out."
        )
