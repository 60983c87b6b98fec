"""How much memory tensors take at a time while a block of code runs, counted where they are made and let go of."""

import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.weak import WeakIdKeyDictionary


class LiveMemory(TorchDispatchMode):
    """Bytes of all tensors that operations have made and that are still there; what was there before does not count."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known = WeakIdKeyDictionary()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        for tensor in filter(torch.is_tensor, tree_iter((args, kwargs))):
            self._known[tensor.untyped_storage()] = True
        given = func(*args, **(kwargs or {}))
        for tensor in filter(torch.is_tensor, tree_iter(given)):
            storage = tensor.untyped_storage()
            if storage not in self._known:
                self._known[storage] = True
                self._change(storage.nbytes())
                weakref.finalize(storage, self._change, -storage.nbytes())
        return given

    def _change(self, num_bytes: int) -> None:
        self.now += num_bytes
        self.peak = max(self.peak, self.now)
