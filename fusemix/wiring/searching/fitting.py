"""Which results fit: those that do not score below the cut of their modality.

Place in the flow: hits, cuts by Searcher.cuts -> where the line is drawn, below which nothing fits.
"""

from collections.abc import Sequence

from fusemix.wiring.searching.searcher import Hit
from fusemix.wiring.searching.spaces import Cuts


def fits(hit: Hit, cuts: Cuts) -> bool:
    """Whether a result is not below its cut; what has none fits."""
    return hit.score >= cuts.get(hit.modality, hit.score)


def num_above(hits: Sequence[Hit], cuts: Cuts) -> int:
    """Results up to the last one that fits: the line is drawn below them; all, where the cut of some is not known."""
    if any(hit.modality not in cuts for hit in hits):
        return len(hits)
    return max((number for number, hit in enumerate(hits, start=1) if fits(hit, cuts)), default=0)
