"""How many bytes operations read and write, as a device sees them that joins none of them."""

from collections import Counter
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class CountedBytes(TorchDispatchMode):
    """Counts, while it is active, the bytes of all arguments and results, by operation; views move none.

    Attributes:
        bytes: name of an operation -> bytes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bytes: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if not func.is_view and not func.__name__.startswith(("empty", "new_empty", "detach", "_unsafe_view")):
            tensors = (x for x in tree_leaves((args, kwargs, out)) if isinstance(x, torch.Tensor))
            self.bytes[func.__name__] += sum(x.numel() * x.element_size() for x in tensors)
        return out
