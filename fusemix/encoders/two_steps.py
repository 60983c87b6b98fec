"""torchvision's transforms in two steps: bytes in the workers, numbers where the model runs.

Place in the flow: a picture -> bytes that are resized and cropped, handed over -> what the transforms would give.
Bytes are a quarter of what they become, so that workers hand over, and a GPU fetches, a quarter. The same for the
processors of transformers: transformers/scaling.py.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Num
from PIL import Image
from torch import Tensor
from torchvision.transforms import Compose, Normalize, PILToTensor, ToTensor


class TwoSteps:
    """A family's transforms, cut where they make numbers of bytes; where that would change a bit, all of them at once.

    Args:
        transform: picture -> (3, height, width), as open_clip and timm make them.

    Attributes:
        in_bytes: whether the first step gives bytes.
    """

    def __init__(self, transform: Any) -> None:
        steps = list(getattr(transform, "transforms", ()))
        kinds = [type(step) for step in steps[-2:]]
        self.in_bytes = len(kinds) == 2 and issubclass(kinds[0], ToTensor) and kinds[1] is Normalize
        if self.in_bytes:
            self._first: Any = Compose([*steps[:-2], PILToTensor()])
            ends = (steps[-1].mean, steps[-1].std)
            self._shift, self._scale = (torch.as_tensor(end, dtype=torch.float32).view(-1, 1, 1) for end in ends)
            self.in_bytes = self._gives_the_same_as(transform)
        if not self.in_bytes:
            self._first = transform

    def pixels(self, picture: Image.Image) -> Num[Tensor, "3 height width"]:
        """The first step: resized and cropped."""
        return self._first(picture)

    def numbers(self, pixels: Num[Tensor, "batch 3 height width"]) -> Num[Tensor, "batch 3 height width"]:
        """The second step, where the pixels are: scaled, with the operations of ToTensor and Normalize."""
        if not self.in_bytes:
            return pixels
        self._shift, self._scale = self._shift.to(pixels.device), self._scale.to(pixels.device)
        return pixels.float().div_(255).sub_(self._shift).div_(self._scale)

    def _gives_the_same_as(self, transform: Any) -> bool:
        """Bit by bit, tried on a picture of noise."""
        noise = np.random.default_rng(0).integers(0, 256, (97, 131, 3), dtype=np.uint8)
        picture = Image.fromarray(noise)
        return torch.equal(self.numbers(self.pixels(picture)[None])[0], transform(picture))
