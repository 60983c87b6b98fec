"""How large tensors become while a block of code runs."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class LargestTensor(TorchDispatchMode):
    """Notes how many numbers the largest tensor had that any operation gave."""

    largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = func(*args, **(kwargs or {}))
        for x in given if isinstance(given, tuple | list) else [given]:
            self.largest = max(self.largest, x.numel() if isinstance(x, torch.Tensor) else 0)
        return given
