"""Batches that are spread over processes: rows of all of them, with gradient.

Place in the flow: this process's rows -> those of all processes -> a loss.
With one process every function here gives its argument back, so that a loss is written once.

Each process returns a loss whose mean over processes is that of the whole batch. DDP averages gradients over processes,
and the gradient of `gathered_rows` sums what all processes did with a row; so adapters and temperature get exactly the
gradient that one process would give them on the same batch.
"""

from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from fusemix.errors import RunError
from fusemix.machine.parallel import gathered


def num_processes() -> int:
    """How many processes share a batch."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def own_rank() -> int:
    """Which of them this one is, from 0."""
    return dist.get_rank() if num_processes() > 1 else 0


def stop_together(problem: str | None) -> None:
    """End all processes where one of them has to stop; each has to come here.

    Args:
        problem: what this one has to stop for.

    Raises:
        RunError: some process has to stop; in the first one. The others end without a word.
    """
    problems = [found for found in gathered(problem) if found]
    if problems:
        raise RunError(problems[0]) if own_rank() == 0 else SystemExit(0)


def take_from_first(tensors: Iterable[Tensor]) -> None:
    """Set tensors to what they are in the first process, in place; all processes have to come here."""
    if num_processes() > 1:
        for tensor in tensors:
            dist.broadcast(tensor, src=0)


def gathered_rows(rows: Float[Tensor, "own dim"]) -> Float[Tensor, "all dim"]:
    """Rows of all processes, in order of ranks; each process must give as many."""
    return rows if num_processes() == 1 else _Gathered.apply(rows)  # pyright: ignore[reportReturnType]


def own_part(total: int) -> slice:
    """Of so many rows, in order, those that this process works on: as many in each, to one."""
    few, more = divmod(total, num_processes())
    starts = [rank * few + min(rank, more) for rank in (own_rank(), own_rank() + 1)]
    return slice(*starts)


def rows_of_parts(rows: Float[Tensor, "own dim"], total: int) -> Float[Tensor, "total dim"]:
    """Rows that processes have worked on by `own_part`, put together in each of them; without gradient."""
    if num_processes() == 1:
        return rows
    few, more = divmod(total, num_processes())
    filled = rows.new_zeros(few + 1, rows.shape[1])
    filled[: len(rows)] = rows
    return torch.cat([part[: few + (rank < more)] for rank, part in enumerate(_of_all(filled))])


def log_sum_over_processes(values: Float[Tensor, " columns"]) -> Float[Tensor, " columns"]:
    """Logarithm of the sum, over processes, of the exponentials of each entry; without gradient."""
    if num_processes() == 1:
        return values
    return torch.stack(_of_all(values)).logsumexp(dim=0)


def of_all_processes(values: Float[Tensor, " own"]) -> Float[Tensor, " all"]:
    """Values of all processes, in order of ranks; without gradient."""
    return values if num_processes() == 1 else torch.cat(_of_all(values))


def _of_all(own: Tensor) -> list[Tensor]:
    parts = [torch.empty_like(own) for _ in range(num_processes())]
    dist.all_gather(parts, own.contiguous())
    return parts


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.own = slice(own_rank() * len(rows), (own_rank() + 1) * len(rows))
        return torch.cat(_of_all(rows))

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]: the decorator hides the names
        ctx: Any, *gradients: Tensor
    ) -> Tensor:
        total = gradients[0].contiguous()
        dist.all_reduce(total)
        return total[ctx.own]
