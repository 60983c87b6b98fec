"""Sounds of unequal length that go through a model together: each gives what it gives alone, in far fewer passes."""

import numpy as np
import pytest
import torch
from tiny_models import SIZES
from transformers import (
    Data2VecAudioConfig,
    Data2VecAudioModel,
    HubertConfig,
    HubertModel,
    UniSpeechSatConfig,
    UniSpeechSatModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
)

from fusemix.encoders import ENCODERS
from fusemix.encoders.transformers.padding import passes_of, shortest

RATE = 16000
KINDS = {
    "wavlm": (WavLMModel, WavLMConfig),
    "wav2vec2": (Wav2Vec2Model, Wav2Vec2Config),
    "hubert": (HubertModel, HubertConfig),
    "unispeech-sat": (UniSpeechSatModel, UniSpeechSatConfig),
    "data2vec-audio": (Data2VecAudioModel, Data2VecAudioConfig),
}
GROUP = {"feat_extract_norm": "group", "do_stable_layer_norm": False}
LAYER = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}
MADE = {
    **{f"{kind}-{norm['feat_extract_norm']}": (kind, norm) for kind in list(KINDS)[:4] for norm in (GROUP, LAYER)},
    "hubert-batch-norm": ("hubert", {**GROUP, "conv_pos_batch_norm": True}),
    "wav2vec2-adapter": ("wav2vec2", {**GROUP, "add_adapter": True, "output_hidden_size": SIZES["hidden_size"]}),
    "data2vec-audio": ("data2vec-audio", {}),
}


@pytest.fixture(scope="module")
def hearing(tmp_path_factory):
    """Name in MADE -> its encoder, of random weights."""

    def build(name, **options):
        kind, settings = MADE[name]
        model, config = KINDS[kind]
        folder = tmp_path_factory.mktemp("weights")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = model(config(**SIZES, conv_dim=[16] * 7, **settings))
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(1)
            for name_, weight in network.named_parameters():
                if "norm" in name_:  # as made they are ones and zeros, which hide what padding does
                    weight.add_(torch.randn_like(weight) / 3)
        network.save_pretrained(folder)
        Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
        built = ENCODERS.build("transformers_audio", {"model": str(folder), **options})
        built._together = True  # as on a GPU
        return built

    return build


def encode(encoder, waves):
    return encoder.encode(encoder.collate(encoder.prepare(waves)))


@pytest.mark.parametrize("name", MADE)
def test_a_sound_gives_beside_others_what_it_gives_alone(hearing, sound, name):
    encoder = hearing(name)
    waves = [sound(seconds, RATE, seed) for seed, seconds in enumerate((1.0, 0.81, 0.85, 0.2, 0.155, 0.175, 0.76))]
    alone = torch.cat([encode(encoder, [wave]) for wave in waves])
    torch.testing.assert_close(encode(encoder, waves), alone, rtol=1e-4, atol=2e-5)
    num_passes = len(encoder.collate(encoder.prepare(waves)).passes)
    assert num_passes == (2 if name in list(MADE)[:8] else 7)


def test_a_cpu_computes_each_length_by_itself_as_it_is_faster_so(hearing, sound):
    encoder, seen = hearing("wavlm-group").to("cpu"), []
    waves = [sound(seconds, RATE) for seconds in (1.0, 0.9, 1.0)]
    alone = torch.cat([encode(encoder, [wave]) for wave in waves])
    encoder._tower.register_forward_pre_hook(
        lambda _, args, inputs: seen.append((*inputs["input_values"].shape, len(inputs))), with_kwargs=True
    )
    torch.testing.assert_close(encode(encoder, waves), alone, rtol=1e-4, atol=2e-5)
    assert seen == [(2, 16000, 2), (1, 14400, 2)], "input and a word on hidden states, and no mask"


@pytest.mark.parametrize("layer", [0, 1])
def test_so_it_does_in_an_inner_layer(hearing, sound, layer):
    encoder = hearing("wav2vec2-group", layer=layer)
    waves = [sound(seconds, RATE, seed) for seed, seconds in enumerate((1.0, 0.9, 0.8))]
    alone = torch.cat([encode(encoder, [wave]) for wave in waves])
    torch.testing.assert_close(encode(encoder, waves), alone, rtol=1e-4, atol=2e-5)


def test_a_sound_that_is_too_short_spoils_no_other_and_is_refused_by_the_model(hearing, sound):
    encoder = hearing("wavlm-group")
    least = shortest(WavLMConfig())
    assert least == 400
    assert int(encoder._tower._get_feat_extract_output_lengths(least)) == 1
    assert int(encoder._tower._get_feat_extract_output_lengths(least - 1)) == 0
    waves = [sound(samples / RATE, RATE) for samples in (least - 1, least, least + 40)]
    batch = encoder.collate(encoder.prepare(waves))
    assert sorted(len(features) for features in batch.passes) == [1, 2]
    with pytest.raises(RuntimeError):
        encoder.encode(batch)
    assert encode(encoder, waves[1:]).isfinite().all()


def test_thirty_two_sounds_of_unequal_length_take_few_passes(hearing, sound):
    encoder = hearing("wavlm-group")
    lengths = 10 + np.arange(32) / 1000
    assert len(encoder.collate(encoder.prepare([sound(seconds, RATE) for seconds in lengths])).passes) == 1
    batch = encoder.collate(encoder.prepare([sound(seconds, RATE) for seconds in np.linspace(1, 10, 32)]))
    assert len(batch.passes) <= 9
    real, computed = sum(batch.num_samples), sum(features.numel() for features in batch.passes)
    assert real > 0.75 * computed


def test_passes_hold_every_window_once_and_at_most_a_quarter_of_padding():
    lengths = np.random.default_rng(0).integers(1, 480_000, 500).tolist()
    passes = passes_of(lengths, least=400, most=64)
    assert sorted(place for places in passes for place in places) == list(range(500))
    assert max(map(len, passes)) <= 64
    for places in passes:
        of = [lengths[place] for place in places]
        assert len(of) == 1 or min(of) >= max(400, 0.75 * max(of))
