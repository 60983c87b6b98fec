"""torchvision's transforms cut in two, and those that cannot be."""

import pytest
import torch
from torchvision import transforms

from fusemix.encoders.two_steps import TwoSteps

NORM = transforms.Normalize((0.48, 0.45, 0.4), (0.26, 0.25, 0.27))
SIZE = [transforms.Resize(32), transforms.CenterCrop(32)]


class Other(transforms.ToTensor):
    """Makes numbers of bytes in a way of its own."""

    def __call__(self, pic):
        return super().__call__(pic) * 1.001


@pytest.mark.parametrize(
    ("steps", "in_bytes"),
    [
        ([*SIZE, transforms.ToTensor(), NORM], True),
        ([*SIZE, transforms.ToTensor()], False),
        ([*SIZE, transforms.ToTensor(), NORM, transforms.GaussianBlur(3, 1.0)], False),
        ([*SIZE, Other(), NORM], False),
        ([transforms.ToTensor(), *SIZE, NORM], False),
    ],
    ids=["as open_clip's", "no norm", "something behind it", "other numbers", "scaled before it is resized"],
)
def test_both_steps_give_what_the_transforms_give_whether_in_bytes_or_not(picture, steps, in_bytes):
    whole, pictures = transforms.Compose(steps), [picture(40, 50), picture(90, 35, seed=1)]
    cut = TwoSteps(whole)
    batch = torch.stack([cut.pixels(one) for one in pictures])
    assert (cut.in_bytes, batch.dtype) == (in_bytes, torch.uint8 if in_bytes else torch.float32)
    assert torch.equal(cut.numbers(batch), torch.stack([whole(one) for one in pictures]))
