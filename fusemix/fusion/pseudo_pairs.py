"""Partners for items that have none: what embeddings say, made fair, is taken for soft pairs.

Place in the flow: embeddings of unpaired items of both sides, and their latents -> latents of soft partners -> the
closed form, fitted once more.

Every item shares itself out among those of the other side by how near they are, under the condition that all of these
get alike (entropic optimal transport; Cuturi, "Sinkhorn Distances", NeurIPS 2013), so that hubs are not everybody's
partner. An item's soft partner is the weighted mean of the latents of its best few. A relative of SOTAlign,
arXiv:2602.23353.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

TEMPERATURE = 0.05
ROUNDS = 5
"""Of making rows, then columns, sum to one."""
BEST = 10
"""Items that a soft partner is the mean of."""
ROWS_AT_ONCE = 2048


class Potentials(NamedTuple):
    """What is taken from the logits of rows and columns so that both share alike."""

    rows: Float[Tensor, " left"]
    columns: Float[Tensor, " right"]

    def turned(self) -> "Potentials":
        """Of columns, then of rows."""
        return Potentials(self.columns, self.rows)


def potentials(
    left: Float[Tensor, "left dim"],
    right: Float[Tensor, "right dim"],
    temperature: float = TEMPERATURE,
    rounds: int = ROUNDS,
) -> Potentials:
    """Sinkhorn's, in logarithms; the matrix of all pairs is never held.

    Args:
        left, right: unit length.
        temperature: above 0, that cosines are divided by.
        rounds: at least 1; the last thing made even are the columns.
    """
    rows, columns = left.new_zeros(len(left)), right.new_zeros(len(right))
    for _ in range(rounds):
        rows = _log_sums(left, right, columns, temperature)
        columns = _log_sums(right, left, rows, temperature)
    return Potentials(rows, columns)


def _log_sums(asked: Tensor, given: Tensor, taken: Tensor, temperature: float) -> Tensor:
    parts = asked.split(ROWS_AT_ONCE)
    return torch.cat([torch.logsumexp(part @ given.T / temperature - taken, dim=1) for part in parts])


def soft_partners(
    asked: Float[Tensor, "asked dim"],
    given: Float[Tensor, "given dim"],
    even: Potentials,
    latents: Float[Tensor, "given latent_dim"],
    temperature: float = TEMPERATURE,
    best: int = BEST,
) -> Float[Tensor, "asked latent_dim"]:
    """Latents of a soft partner for each item.

    Args:
        asked: embeddings of the items, unit length.
        given: embeddings of those that may be partners.
        even: potentials of `asked`, then of `given`.
        latents: of `given`.
        temperature: that the potentials were found with.
        best: how many of `given` a partner is made of.
    """
    found = []
    for part in asked.split(ROWS_AT_ONCE):
        logits, places = (part @ given.T / temperature - even.columns).topk(min(best, len(given)), dim=1)
        found.append(torch.einsum("ab,abd->ad", logits.softmax(dim=1), latents[places]))
    return torch.cat(found)
