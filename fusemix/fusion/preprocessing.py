"""What is done to latents before mixing and adapters: fitted on the training set, kept with the model.

Place in the flow: LatentBatch -> Preprocessing -> mixup -> adapters.
A step is fitted on what the steps before it leave.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fusemix.errors import ConfigError
from fusemix.fusion.stretches import without_gradient
from fusemix.parts.registry import nearest

CONSTANT = 1e-6
"""A dimension whose standard deviation is smaller than this share of the largest one counts as constant."""
Chunks = Callable[[], Iterable[Float[Tensor, "rows dim"]]]
"""Gives the latents that are fitted on, some rows at a time, as often as it is called."""


class UnitLength(nn.Module):
    """Every encoder's latent is brought to one length, the root of its width; concatenated ones each on their own.

    Args:
        dims: widths of the encoders that stand side by side.
    """

    def __init__(self, dims: Sequence[int]) -> None:
        super().__init__()
        self._dims = list(dims)

    def fit(self, chunks: Chunks) -> None:
        """Nothing has to be known of the training set."""

    def forward(self, latents: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """Scale rows."""
        parts = latents.split(self._dims, dim=1)
        return torch.cat([nn.functional.normalize(part, dim=1) * part.shape[1] ** 0.5 for part in parts], dim=1)

    def undo(self, prepared: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """Rows as they are: of one encoder they lost their length alone, which nothing in them tells."""
        return prepared


class Standardise(nn.Module):
    """Every dimension gets mean 0 and variance 1 over the training set; a constant one becomes 0.

    Args:
        dims: widths of the encoders that stand side by side.
    """

    def __init__(self, dims: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(sum(dims)))
        self.register_buffer("factor", torch.ones(sum(dims)))
        self.mean: Tensor
        self.factor: Tensor

    def fit(self, chunks: Chunks) -> None:
        """Take mean and variance."""
        mean, covariance = moments(chunks, diagonal=True)
        deviation = covariance.clamp(min=0).sqrt()
        is_constant = deviation <= CONSTANT * deviation.max()
        self.mean.copy_(mean)
        self.factor.copy_(torch.where(is_constant, 0.0, 1 / deviation))

    def forward(self, latents: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """Shift and scale."""
        return (latents - self.mean) * self.factor

    def undo(self, prepared: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """Scale and shift back; a constant dimension gets its mean."""
        return torch.where(self.factor == 0, 0.0, prepared / self.factor) + self.mean


class Whiten(nn.Module):
    """All dimensions get variance 1 over the training set, and none depends on another (ZCA).

    Directions of little variance would be blown up to nothing but noise; so the mean variance, times `RIDGE`, is added
    to each before its root is divided by. Constant directions stay at 0.

    Args:
        dims: widths of the encoders that stand side by side.
    """

    RIDGE = 0.1

    def __init__(self, dims: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(sum(dims)))
        self.register_buffer("matrix", torch.eye(sum(dims)))
        self.mean: Tensor
        self.matrix: Tensor

    def fit(self, chunks: Chunks) -> None:
        """Take mean and covariance."""
        mean, covariance = moments(chunks)
        variances, directions = torch.linalg.eigh(covariance)
        variances = variances.clamp(min=0)
        is_constant = variances <= CONSTANT**2 * variances.max()
        factors = torch.where(is_constant, 0.0, (variances + self.RIDGE * variances.mean()).rsqrt())
        self.mean.copy_(mean)
        self.matrix.copy_((directions * factors) @ directions.T)

    def forward(self, latents: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """Shift and turn."""
        return (latents - self.mean) @ self.matrix

    def undo(self, prepared: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """Turn and shift back; a constant direction gets its mean."""
        return prepared @ torch.linalg.pinv(self.matrix.double(), hermitian=True).to(prepared.dtype) + self.mean


STEPS: dict[str, type[UnitLength | Standardise | Whiten]] = {
    "l2": UnitLength,
    "standardise": Standardise,
    "whiten": Whiten,
}


class Preprocessing(nn.Module):
    """Steps one after the other, in float32.

    Args:
        steps: names in STEPS; none leaves latents as they are.
        dims: widths of the encoders that stand side by side.

    Raises:
        ConfigError: a step is unknown.
    """

    def __init__(self, steps: Sequence[str], dims: Sequence[int]) -> None:
        super().__init__()
        for name in steps:
            if name not in STEPS:
                raise ConfigError(
                    f"no step of preprocess is called {name!r}.{nearest(name, list(STEPS))} Known: {', '.join(STEPS)}."
                )
        self.steps = nn.ModuleList(STEPS[name](dims) for name in steps)

    def fit(self, chunks: Chunks) -> None:
        """Fit every step on what the ones before it leave of the training set's latents."""
        for place, step in enumerate(self.steps):
            done = self.steps[:place]

            def so_far(done: nn.ModuleList = done) -> Iterable[Tensor]:
                return (nn.Sequential(*done)(chunk.float()) for chunk in chunks())

            step.fit(so_far)  # pyright: ignore[reportCallIssue]: what nn.ModuleList holds has no type

    def forward(self, latents: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """Preprocess; float16 and bfloat16 latents become float32."""
        with torch.autocast(latents.device.type, enabled=False):
            return without_gradient(self._prepared, latents) if self.training else self._prepared(latents)

    def undo(self, prepared: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """Latents that were prepared, as they came from one encoder; with `l2` all but their length.

        Args:
            prepared: as long as `forward` leaves them.
        """
        for step in reversed(self.steps):
            assert isinstance(step, UnitLength | Standardise | Whiten), "nothing else stands in the table"
            prepared = step.undo(prepared)
        return prepared

    def _prepared(self, latents: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        latents = latents.float() if latents.dtype in (torch.float16, torch.bfloat16) else latents
        for step in self.steps:
            latents = step(latents)
        return latents


def moments(
    chunks: Chunks, *, diagonal: bool = False
) -> tuple[Float[Tensor, " dim"], Float[Tensor, "dim dim"] | Float[Tensor, " dim"]]:
    """Mean and covariance in float64, or with `diagonal` only the variances.

    Two passes: the mean first, since subtracting squares of large means would leave nothing of small variances.
    """
    total, count = torch.zeros(()), 0
    for chunk in chunks():
        total, count = total + chunk.double().sum(dim=0).cpu(), count + len(chunk)
    mean, covariance = total / count, torch.zeros(())
    for chunk in chunks():
        centred = chunk.double() - mean.to(chunk.device)
        covariance = covariance + (centred.square().sum(dim=0) if diagonal else centred.T @ centred).cpu()
    return mean, covariance / count
