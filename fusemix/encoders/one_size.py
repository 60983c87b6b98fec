"""What encoders have in common whose prepared items are arrays or tensors of one shape: `to`, `length` and `collate`.

Place in the flow: a base for an encoder, also for one of a user's own; nobody has to take it (interfaces.Encoder is a
protocol).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor


class OneSize:
    """An encoder but for `modality`, `dim`, `fingerprint`, `prepare` and `encode`.

    Attributes:
        network: that `to` moves; None where all is done on the CPU.
    """

    sample_rate: int | None = None
    network: Any = None

    def to(self, device: str) -> "OneSize":
        """Move the network, where there is one."""
        if self.network is not None:
            self.network.to(device)
        return self

    def length(self, prepared: Shaped[np.ndarray | Tensor, "..."]) -> int:
        """Always 1: nothing is padded."""
        return 1

    def collate(self, prepared: Sequence[Shaped[np.ndarray | Tensor, "..."]]) -> Shaped[Tensor, "batch ..."]:
        """Stacked."""
        return torch.stack([torch.as_tensor(one) for one in prepared])
