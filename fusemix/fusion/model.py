"""What is trained: one adapter a modality, and a temperature.

Place in the flow: latents -> preprocessing -> adapter -> embeddings of unit length in one space.
Not here: how it is trained (module.py).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fusemix.errors import ConfigError
from fusemix.fusion.adapters import ADAPTERS
from fusemix.fusion.adapters.linear import Linear
from fusemix.fusion.preprocessing import Chunks, Preprocessing
from fusemix.fusion.stretches import by_stretches

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.001, 0.5


class FusionModel(nn.Module):
    """Adapters keyed by modality, with a learned temperature.

    Args:
        dims: modality -> widths of its encoders' latents, which stand side by side.
        embedding_dim: width of the shared space.
        adapters: modality -> name and options of its adapter; a name may be `module:factory`.
        preprocess: steps before the adapters; see `preprocessing.STEPS`.
        temperature: where it starts, in [0.001, 0.5].
        closed_form: share of each cosine that a fixed linear map beside each adapter gives, in [0, 1].

    Attributes:
        dims: of latents, as given.
        embedding_dim: of what the adapters make, as given.
        width: of embeddings: `embedding_dim`, and that of the closed form where it has a share.
        share: of each cosine that the closed form gives, in [0, 1].
        rotation: by which embeddings are turned, which leaves cosines as they are; None where they are not.
        recompute: whether adapters compute a second time, for the gradient, what they would have to hold until then;
            embeddings and gradients are the same, bit by bit.
    """

    def __init__(
        self,
        *,
        dims: Mapping[str, Sequence[int]],
        embedding_dim: int,
        adapters: Mapping[str, tuple[str, Mapping[str, Any]]],
        preprocess: Sequence[str] = (),
        temperature: float = 0.07,
        closed_form: float = 0.0,
    ) -> None:
        super().__init__()
        self.dims = {modality: list(widths) for modality, widths in dims.items()}
        self.embedding_dim: int = embedding_dim
        self.width: int = embedding_dim
        self.recompute = False
        self._row_by_row = {modality for modality in dims if ADAPTERS.is_own(adapters[modality][0])}
        built = {
            modality: _adapter(*adapters[modality], sum(widths), embedding_dim) for modality, widths in dims.items()
        }
        self.preprocessing = nn.ModuleDict({m: Preprocessing(preprocess, widths) for m, widths in dims.items()})
        self.adapters = nn.ModuleDict(built)
        self.share = closed_form
        self.beside = nn.ModuleDict()
        if closed_form:
            narrowest = min(embedding_dim, *(sum(widths) for widths in dims.values()))
            self.width += narrowest
            fixed = {m: Linear(input_dim=sum(widths), output_dim=narrowest) for m, widths in dims.items()}
            self.beside = nn.ModuleDict(fixed).requires_grad_(False)
        self.log_logit_scale = nn.Parameter(torch.tensor(-math.log(temperature)))
        self.register_buffer("rotation", None)

    @property
    def logit_scale(self) -> Float[Tensor, ""]:
        """Factor on cosines, 1 / temperature."""
        return self.log_logit_scale.exp()

    def clamp_temperature(self) -> None:
        """Keep the temperature within [0.001, 0.5], as the authors' code does after every step."""
        with torch.no_grad():
            self.log_logit_scale.clamp_(-math.log(MAX_TEMPERATURE), -math.log(MIN_TEMPERATURE))

    def set_temperature(self, temperature: float) -> None:
        """Start from another temperature."""
        with torch.no_grad():
            self.log_logit_scale.fill_(-math.log(temperature))

    def prepare(self, modality: str, latents: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """Preprocess latents as they come from the encoder, of any real dtype; then they can be mixed and adapted."""
        return self.preprocessing[modality](latents)

    def undo(self, modality: str, prepared: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """Prepared latents as they came from the encoder; see `Preprocessing.undo`."""
        preprocessing = self.preprocessing[modality]
        assert isinstance(preprocessing, Preprocessing)
        return preprocessing.undo(prepared)

    def fit_preprocessing(self, modality: str, chunks: Chunks) -> None:
        """Fit what is done to a modality's latents before its adapter on those of the training set."""
        preprocessing = self.preprocessing[modality]
        assert isinstance(preprocessing, Preprocessing)
        preprocessing.fit(chunks)

    def adapt(self, modality: str, prepared: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch embedding_dim"]:
        """What an adapter makes of prepared latents: unit length, in float32 at least. This is what is trained."""
        adapter = self.adapters[modality]
        dtype = next(adapter.parameters(), self.log_logit_scale).dtype

        def adapted(rows: Float[Tensor, "rows dim"]) -> Float[Tensor, "rows embedding_dim"]:
            out = adapter(rows.to(dtype))
            return F.normalize(out.to(torch.promote_types(out.dtype, torch.float32)), dim=-1)

        if self.training and self.is_cut(modality):
            return by_stretches(adapted, prepared, again=self.recompute)
        return adapted(prepared)

    def is_cut(self, modality: str) -> bool:
        """Whether an adapter takes a large batch in stretches; one of the user's own may look at the whole of it."""
        return modality in self._row_by_row

    def embed(self, modality: str, latents: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch width"]:
        """Embeddings of unit length, in float32, with the closed form's beside the adapter's where it has a share.

        Args:
            modality: whose adapter to use.
            latents: as they come from the encoder, not normalised, of any real dtype.
        """
        prepared = self.prepare(modality, latents)
        found = self.adapt(modality, prepared)
        with torch.autocast(prepared.device.type, enabled=False):
            if self.beside:
                found = side_by_side(found, self.fixed(modality, prepared.to(found.dtype)), self.share)
            return found if self.rotation is None else found @ self.rotation.to(found.dtype)

    def fixed(self, modality: str, prepared: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch narrowest"]:
        """What the closed form beside an adapter makes of prepared latents, of unit length."""
        return F.normalize(self.beside[modality](prepared), dim=-1)

    def untouched(self, modality: str, latents: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """What latents give alone, of unit length: only preprocessed."""
        prepared = self.prepare(modality, latents)
        return F.normalize(prepared.to(torch.promote_types(prepared.dtype, torch.float32)), dim=-1)

    def set_share(self, share: float) -> None:
        """Give the closed form beside the adapters another share of each cosine; with none it is left out."""
        self.share = share
        if not share:
            self.width, self.beside = self.embedding_dim, nn.ModuleDict()

    def turn(self, rotation: Float[Tensor, "width width"]) -> None:
        """Turn embeddings from now on, after any turn before; cosines stay as they are."""
        self.rotation = rotation if self.rotation is None else self.rotation @ rotation

    def num_parameters(self) -> dict[str, int]:
        """Trainable parameters of each adapter."""
        return {name: sum(p.numel() for p in module.parameters()) for name, module in self.adapters.items()}


def side_by_side(
    own: Float[Tensor, "rows dim"], fixed: Float[Tensor, "rows other"], share: float
) -> Float[Tensor, "rows both"]:
    """Embeddings of unit length next to other ones, scaled by the roots of shares: cosines are the mean of both.

    Args:
        own, fixed: of the same items.
        share: of each cosine that is the fixed ones', in [0, 1].
    """
    return torch.cat([(1 - share) ** 0.5 * own, share**0.5 * fixed], dim=-1)


def _adapter(name: str, options: Mapping[str, Any], input_dim: int, output_dim: int) -> nn.Module:
    """An adapter; one of the user's own is tried first, since what is no such map would fail, or train nothing."""
    adapter = ADAPTERS.build(name, options, input_dim=input_dim, output_dim=output_dim)
    if name in ADAPTERS.table:
        return adapter
    if not isinstance(adapter, nn.Module) or next(adapter.parameters(), None) is None:
        raise ConfigError(f"adapter {name!r} gave {type(adapter).__name__}, where a module with parameters is due.")
    trial = torch.zeros(2, input_dim, dtype=next(adapter.parameters()).dtype)
    was_training = adapter.training
    try:
        with torch.no_grad():
            out = adapter.eval()(trial)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise ConfigError(f"adapter {name!r} cannot map {tuple(trial.shape)}: {error}") from error
    shape = tuple(getattr(out, "shape", ()))
    if shape != (2, output_dim):
        raise ConfigError(f"adapter {name!r} makes {shape} of {tuple(trial.shape)}, where {(2, output_dim)} is due.")
    return adapter.train(was_training)
