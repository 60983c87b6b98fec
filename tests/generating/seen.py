"""What parts of a pipeline are given while it draws, seen by hooks on the real modules."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.modules.module import register_module_forward_pre_hook

KANDINSKY, ADAPTER = "ImageTimeEmbedding", "ImageProjection"
"""Classes of the layers that an embedding comes to in each step: Kandinsky's (which has one of the other kind, too),
and an IP-Adapter's."""


@contextmanager
def calls(look: Callable[[torch.Tensor], None], name: str = KANDINSKY) -> Iterator[None]:
    """Calls a function with the first input of every module of a class, before the module sees it."""

    def hook(module: torch.nn.Module, inputs: Any) -> None:
        if type(module).__name__ == name:
            look(inputs[0])

    handle = register_module_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def embeddings(name: str = KANDINSKY) -> Iterator[list[torch.Tensor]]:
    """What pipelines are given to draw from, step by step: (2 × pictures, …, dim), half of it to lead away from."""
    found: list[torch.Tensor] = []
    with calls(lambda rows: found.append(rows.detach().clone()), name):
        yield found
