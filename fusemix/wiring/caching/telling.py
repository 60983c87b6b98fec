"""What is said of a pair set before it is encoded.

Place in the flow: PairSet -> lines for people.
"""

from pathlib import Path

from fusemix.interfaces import PairSet
from fusemix.progress import console
from fusemix.visible import shown


def tell_pairs(pairs: PairSet, folder: Path | None) -> None:
    """Say what a split holds, and what was left out of it."""
    counts = " and ".join(f"{len(items):,} {items.modality} items" for items in pairs.sides)
    published = f" (published: {pairs.published[0]:,} and {pairs.published[1]:,})" if pairs.published else ""
    console.print(f"{pairs.dataset}/{pairs.split}: {counts}, {len(pairs.links):,} links{published}")
    if pairs.excluded:
        first = pairs.excluded[0]
        where = f" (all in {folder / 'quarantine.jsonl'})" if folder else ""
        console.print(
            f"  left out {len(pairs.excluded):,} entries, such as {shown(first.id)}: {shown(first.reason)}{where}",
            style="yellow",
        )
