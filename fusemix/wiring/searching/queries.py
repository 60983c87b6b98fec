"""What of some queries is looked for as it is written.

Place in the flow: queries -> words -> search/written.py.
Not here: what a query is, and how several are one (models/queries.py).
"""

from collections.abc import Sequence

from fusemix.models.queries import Query
from fusemix.search.names import words_asked
from fusemix.wiring.searching.scopes import TEXT


def written_in(queries: Sequence[Query]) -> list[str]:
    """What of some queries is looked for as it is written; see search/names.py."""
    return [word for query in queries if query.kind == TEXT for word in words_asked(query.content)]
