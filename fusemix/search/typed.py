"""What people type: `2*"red" + "car"` is a sum of texts with weights; anything else is plain words.

Place in the flow: a text as it was typed -> texts and weights -> queries that are added up.
`termsOf` in web/query.js reads the same; both are tested with the same texts.
"""

import re

MOST_WEIGHT = 100.0
WEIGHTS = f"a number from -{MOST_WEIGHT:g} to {MOST_WEIGHT:g}, other than 0"
"""What a weight must be, for people."""
SIGN, QUOTED = r"(?:([+\-−–])\s*)?", r'["“”„]\s*([^"“”„\s][^"“”„]*)["“”„]'
TERM = re.compile(rf"\s*{SIGN}(?:([0-9]+(?:[.,][0-9]+)?)\s*[*×]\s*)?{QUOTED}\s*")
"""A sign, a factor, and a text in quotes, of which phones make curly ones."""


def terms_of(typed: str) -> list[tuple[str, float]]:
    """Texts that are added up, and their weights; a text that is not wholly such a sum is one, as it is, of weight 1.

    Args:
        typed: such as `"beach" - "people"`.
    """
    found: list[tuple[str, float]] = []
    place = 0
    while place < len(typed):
        match = TERM.match(typed, place)
        if match is None or (found and not match[1]):
            return [(typed, 1.0)]
        factor = float((match[2] or "1").replace(",", "."))
        found.append((match[3].strip(), factor if match[1] in (None, "+") else -factor))
        place = match.end()
    return found or [(typed, 1.0)]


def is_weight(number: float) -> bool:
    """Whether a query may count so much; see WEIGHTS."""
    return 0 < abs(number) <= MOST_WEIGHT
