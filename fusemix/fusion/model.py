"""What is trained: one adapter a modality, and a temperature.

Place in the flow: latents -> FusionModel -> embeddings of unit length in one space.
Not here: how it is trained (module.py).
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fusemix.fusion.adapters import ADAPTERS

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.001, 0.5


class FusionModel(nn.Module):
    """Adapters keyed by modality, with a learned temperature.

    Args:
        widths: modality -> width of its latents.
        embedding_dim: width of the shared space.
        adapter: short name of the adapter, or `module:factory`.
        options: of the adapter.
        temperature: where it starts, in [0.001, 0.5].
    """

    def __init__(
        self,
        *,
        widths: Mapping[str, int],
        embedding_dim: int,
        adapter: str,
        options: Mapping[str, Any],
        temperature: float,
    ) -> None:
        super().__init__()
        self.widths = dict(widths)
        built = {
            modality: ADAPTERS.build(adapter, options, input_dim=width, output_dim=embedding_dim)
            for modality, width in widths.items()
        }
        self.adapters = nn.ModuleDict(built)
        self.log_logit_scale = nn.Parameter(torch.tensor(-math.log(temperature)))

    @property
    def logit_scale(self) -> Float[Tensor, ""]:
        """Factor on cosines, 1 / temperature."""
        return self.log_logit_scale.exp()

    def clamp_temperature(self) -> None:
        """Keep the temperature within [0.001, 0.5], as the authors' code does after every step."""
        with torch.no_grad():
            self.log_logit_scale.clamp_(-math.log(MAX_TEMPERATURE), -math.log(MIN_TEMPERATURE))

    def embed(self, modality: str, latents: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch embedding_dim"]:
        """Embeddings of unit length.

        Args:
            modality: whose adapter to use.
            latents: as they come from the encoder, not normalised, of any real dtype.
        """
        adapter = self.adapters[modality]
        return F.normalize(adapter(latents.to(next(adapter.parameters()).dtype)).float(), dim=-1)

    def num_parameters(self) -> dict[str, int]:
        """Trainable parameters of each adapter."""
        return {name: sum(p.numel() for p in module.parameters()) for name, module in self.adapters.items()}
