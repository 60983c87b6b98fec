"""How many captions a published split has, counted while its lines pass by.

Place in the flow: caption lines -> TalliedLines -> pair_files -> require_counts.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from fusemix.datasets.caption_files import CaptionLine
from fusemix.datasets.pairs import require_counts
from fusemix.interfaces import PairSet


@dataclass(frozen=True)
class TalliedLines:
    """Caption lines that are counted by file as they are read, once."""

    lines: Iterable[CaptionLine]
    counts: Counter[str] = field(default_factory=Counter)

    def __iter__(self) -> Iterator[CaptionLine]:
        for line in self.lines:
            self.counts[line.file] += 1
            yield line

    def require(self, pairs: PairSet, expected: tuple[int, int]) -> PairSet:
        """Compare what was loaded out of these lines with the published counts; files must be the ids.

        Raises:
            DatasetError: the counts differ.
        """
        present = pairs.left.table["id"].to_pylist()
        return require_counts(pairs, expected, num_captions=sum(self.counts[file] for file in present))
