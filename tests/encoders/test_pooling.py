"""Pooling of token states against slow loops."""

import pytest
import torch

from fusemix.encoders.pooling import POOLINGS, check_pooling, pool_tokens
from fusemix.errors import EncoderError

NUM_TOKENS = 6
PADDED = {
    "right": [[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0], [1, 1, 1, 0, 0, 0]],
    "left": [[1, 1, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1]],
}


@pytest.fixture(params=PADDED)
def mask(request):
    return torch.tensor(PADDED[request.param], dtype=torch.bool)


@pytest.fixture
def states():
    return torch.randn(3, NUM_TOKENS, 4, generator=torch.Generator().manual_seed(0))


def mean_by_loop(states, mask, num_prefix):
    rows = []
    for row, real in zip(states, mask, strict=True):
        kept = [row[at].double() for at in range(num_prefix, NUM_TOKENS) if real[at]]
        rows.append(sum(kept) / len(kept))
    return torch.stack(rows)


def test_cls_is_the_first_token(states, mask):
    pooled = pool_tokens(states, mask, "cls", num_prefix=1, has_cls=True)
    assert pooled.tolist() == [row[0].tolist() for row in states]


@pytest.mark.parametrize("num_prefix", [0, 1, 2])
def test_mean_is_over_real_tokens_after_the_prefix(states, mask, num_prefix):
    pooled = pool_tokens(states, mask, "mean", num_prefix=num_prefix, has_cls=False)
    torch.testing.assert_close(pooled.double(), mean_by_loop(states, mask, num_prefix), rtol=1e-6, atol=1e-6)


def test_cls_and_mean_are_set_side_by_side(states, mask):
    pooled = pool_tokens(states, mask, "cls+mean", num_prefix=2, has_cls=True)
    assert pooled.shape == (3, 8)
    assert torch.equal(pooled[:, :4], states[:, 0])
    torch.testing.assert_close(pooled[:, 4:].double(), mean_by_loop(states, mask, 2), rtol=1e-6, atol=1e-6)


def test_last_token_is_the_last_real_one_wherever_the_padding_is(states, mask):
    pooled = pool_tokens(states, mask, "last_token", num_prefix=0, has_cls=False)
    for row, real, found in zip(states, mask, pooled, strict=True):
        last = max(at for at in range(NUM_TOKENS) if real[at])
        assert found.tolist() == row[last].tolist()


@pytest.mark.parametrize("pooling", ["mean", "last_token", "cls+mean"])
def test_what_stands_in_the_padding_does_not_matter(states, pooling):
    mask = torch.tensor(PADDED["right"], dtype=torch.bool)
    other = torch.where(mask[:, :, None], states, 1e6)
    given = {"num_prefix": 1, "has_cls": True}
    assert torch.equal(pool_tokens(states, mask, pooling, **given), pool_tokens(other, mask, pooling, **given))


def test_the_mean_of_half_precision_states_is_taken_in_float32():
    states = torch.full((1, 4096, 1), 1.0, dtype=torch.bfloat16)  # summed in bfloat16 this would stop at 256
    mask = torch.ones(1, 4096, dtype=torch.bool)
    pooled = pool_tokens(states, mask, "mean", num_prefix=0, has_cls=False)
    assert pooled.dtype == torch.float32
    assert pooled.item() == 1


def test_a_row_without_one_real_token_gives_zeros_and_not_nan(states):
    nothing = torch.zeros(3, NUM_TOKENS, dtype=torch.bool)
    assert not pool_tokens(states, nothing, "mean", num_prefix=0, has_cls=False).any()


def test_a_mean_over_nothing_but_a_class_token_is_refused(states, mask):
    with pytest.raises(EncoderError, match="gives its class token alone. Use pooling=cls or pooler"):
        pool_tokens(states[:, :1], mask[:, :1], "mean", num_prefix=1, has_cls=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("pooling", ["cls", "mean", "cls+mean", "last_token"])
def test_pooled_states_keep_no_others_in_memory(states, mask, pooling, dtype):
    pooled = pool_tokens(states.to(dtype), mask, pooling, num_prefix=1, has_cls=True)
    assert pooled.untyped_storage().nbytes() == pooled.numel() * 4


@pytest.mark.parametrize("pooling", ["cls", "cls+mean"])
def test_a_model_without_class_token_refuses_to_give_one(states, mask, pooling):
    with pytest.raises(EncoderError, match=r"this model has no class token\. Use pooling=mean or pooling=pooler"):
        pool_tokens(states, mask, pooling, num_prefix=0, has_cls=False)


def test_an_unknown_pooling_is_refused_with_the_known_ones():
    for pooling in POOLINGS:
        check_pooling(pooling)
    with pytest.raises(
        EncoderError, match=r"pooling is 'max', but must be one of: cls, mean, cls\+mean, last_token, poo"
    ):
        check_pooling("max")
