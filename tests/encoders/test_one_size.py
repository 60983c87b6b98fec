"""The base that encoders of items of one shape may take; all that they then do is in test_encoder_contract.py."""

import numpy as np
import pytest
import torch
from torch import nn

from fusemix import Encoder
from fusemix.encoders.one_size import OneSize


class Sums(OneSize):
    modality, dim = "image", 1

    def __init__(self, network=None):
        self.network, self.fingerprint = network, {"family": "sums"}

    def prepare(self, contents):
        return contents

    def encode(self, batch):
        return batch.flatten(1).sum(dim=1, keepdim=True)


@pytest.mark.parametrize("kind", ["uint8", "float32", "int64"])
def test_arrays_and_tensors_are_stacked_in_order_and_keep_their_type(kind):
    arrays = [np.full((2, 3), number, dtype=kind) for number in range(3)]
    batch = Sums().collate(arrays)
    assert batch.numpy().dtype == kind
    assert (batch.numpy() == np.stack(arrays)).all()
    assert torch.equal(Sums().collate([torch.from_numpy(array) for array in arrays]), batch)


def test_it_is_an_encoder_whose_items_are_all_of_one_length():
    encoder = Sums()
    assert isinstance(encoder, Encoder)
    assert encoder.sample_rate is None
    assert {encoder.length(np.zeros(size)) for size in (1, 9)} == {1}


def test_it_moves_its_network_and_is_itself_afterwards():
    network = nn.Linear(2, 2)
    encoder = Sums(network)
    assert encoder.to("meta") is encoder
    assert network.weight.device.type == "meta"
    assert Sums().to("meta").network is None
