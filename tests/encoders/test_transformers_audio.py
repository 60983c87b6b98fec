"""Audio models of transformers against what the library itself computes, window by window."""

import numpy as np
import pytest
import torch
from transformers import AutoFeatureExtractor, AutoModel

from fusemix.errors import EncoderError
from fusemix.interfaces import Waveform


def encode(encoder, *waves):
    return encoder.encode(encoder.collate(encoder.prepare(list(waves))))


def part(wave, start, stop):
    """Seconds of a sound."""
    rate = wave.sample_rate
    return Waveform(wave.samples[int(start * rate) : int(stop * rate)], rate)


def weighted(latents, seconds):
    weights = torch.tensor(seconds)[:, None] / sum(seconds)
    return (latents * weights).sum(dim=0)


@pytest.fixture
def library(model_folder):
    """Name of a model, a sound, … -> outputs of the part of transformers' own model that hears."""

    def run(name, wave, **options):
        folder = model_folder(name)
        extractor = AutoFeatureExtractor.from_pretrained(folder)
        features = extractor(wave.samples, sampling_rate=wave.sample_rate, return_tensors="pt")
        network = AutoModel.from_pretrained(folder).eval()
        with torch.inference_mode():
            if name == "whisper":
                return network.get_encoder()(features["input_features"], **options)
            if name == "clap":
                return network.audio_model(features["input_features"], is_longer=torch.tensor([[False]]), **options)
            return network(features[extractor.model_input_names[0]], **options)

    return run


@pytest.mark.parametrize("seconds", [0.015, 0.5, 1.0, 3.301, 29.999, 30.0])
def test_whisper_is_averaged_over_the_frames_of_real_sound_alone(encoder, library, sound, seconds):
    wave = sound(seconds, 16000)
    num_real = -(-len(wave.samples) // 320)  # a state stands for 20 ms
    states = library("whisper", wave).last_hidden_state[0]
    assert len(states) == 1500
    expected = states[:num_real].double().mean(dim=0).float()
    found = encode(encoder("transformers_audio", "whisper"), wave)[0]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layer", [0, 1, -1])
def test_a_layer_is_an_index_into_the_librarys_hidden_states(encoder, library, sound, layer):
    wave = sound(2.0, 16000)
    states = library("whisper", wave, output_hidden_states=True).hidden_states[layer][0]
    found = encode(encoder("transformers_audio", "whisper", layer=layer), wave)[0]
    torch.testing.assert_close(found, states[:100].mean(dim=0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pooling", ["pooler", "mean"])
def test_clap_gives_its_audio_towers_output(encoder, library, sound, pooling):
    wave = sound(4.0, 48000)
    outputs = library("clap", wave)
    expected = outputs.pooler_output if pooling == "pooler" else outputs.last_hidden_state.flatten(2).mean(dim=2)
    found = encode(encoder("transformers_audio", "clap", pooling=pooling), wave)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("pooling", ["pooler", "cls", "mean"])
def test_ast_gives_its_own_output_and_its_mean_leaves_out_both_class_tokens_and_padding(
    encoder, library, sound, pooling
):
    """198 frames of sound and 58 of padding, in 25 overlapping columns of which 20 begin within the sound; 5 bands."""
    wave = sound(2.0, 16000)
    outputs = library("ast", wave)
    states = outputs.last_hidden_state
    real = states[:, 2:].unflatten(1, (5, 25))[:, :, :20]
    expected = {"pooler": outputs.pooler_output, "cls": states[:, 0], "mean": real.mean(dim=(1, 2))}[pooling]
    found = encode(encoder("transformers_audio", "ast", pooling=pooling), wave)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_wavlm_is_averaged_over_all_its_states(encoder, library, sound):
    wave = sound(1.7, 16000)
    expected = library("wavlm", wave).last_hidden_state.mean(dim=1)
    found = encode(encoder("transformers_audio", "wavlm"), wave)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("model", "rate"), [("whisper", 16000), ("wavlm", 16000)])
def test_a_long_sound_is_the_mean_of_its_windows_weighted_by_their_samples(encoder, sound, model, rate):
    built = encoder("transformers_audio", model)
    long = sound(65, rate)
    windows = torch.cat([encode(built, part(long, start, start + 30)) for start in (0, 30, 60)])
    found = encode(built, sound(3, rate), long, sound(1, rate))[1]
    torch.testing.assert_close(found, weighted(windows, [30, 30, 5]), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(found, windows.mean(dim=0), rtol=1e-3, atol=1e-4)


def test_a_tiny_rest_after_the_last_window_is_left_out(encoder, sound):
    built = encoder("transformers_audio", "wavlm", window_sec=2.0)
    wave = sound(4.05, 16000)
    assert [window.num_samples for window in built.prepare([wave])[0]] == [32000, 32000]
    torch.testing.assert_close(encode(built, wave), encode(built, part(wave, 0, 4)))


def test_a_clap_model_hears_all_of_a_long_sound_and_crops_nothing_at_random(encoder, sound):
    built = encoder("transformers_audio", "clap", pooling="pooler")
    long = sound(25, 48000)
    np.random.seed(1)
    first = encode(built, long)
    np.random.seed(2)
    assert torch.equal(encode(built, long), first)
    windows = torch.cat([encode(built, part(long, start, min(start + 10, 25))) for start in (0, 10, 20)])
    torch.testing.assert_close(first[0], weighted(windows, [10, 10, 5]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "rate", "longest"), [("whisper", 16000, 30), ("clap", 48000, 10), ("ast", 16000, 2.56)]
)
def test_by_default_a_window_is_what_the_model_takes_whole(encoder, sound, model, rate, longest):
    built = encoder("transformers_audio", model)
    assert built.sample_rate == rate
    assert built.fingerprint["window_samples"] == int(longest * rate)
    (windows,) = built.prepare([sound(1.5 * longest, rate)])
    assert [window.num_samples / rate for window in windows] == [longest, longest / 2]


def test_a_shorter_window_is_used_and_recorded(encoder, sound):
    built = encoder("transformers_audio", "whisper", window_sec=1.5)
    wave = sound(4, 16000)
    assert [window.num_samples for window in built.prepare([wave])[0]] == [24000, 24000, 16000]
    assert built.length(built.prepare([wave])[0]) == len(wave.samples)
    assert built.fingerprint["window_samples"] == 24000


@pytest.mark.parametrize("window_sec", [0.0, 0.1, -1.0, 2.57, float("nan")])
def test_a_window_that_the_model_cannot_take_is_refused_with_its_bounds(encoder, window_sec):
    message = rf"window_sec is {window_sec}, but this model takes more than 0\.1 and at most 2\.56\."
    with pytest.raises(EncoderError, match=message):
        encoder("transformers_audio", "ast", window_sec=window_sec)


def test_a_model_of_an_unknown_type_is_refused_with_the_known_ones(encoder):
    message = r"is of type 'sew', and transformers_audio knows only: whisper, clap, .*Wrap it as an encoder of your own"
    with pytest.raises(EncoderError, match=message):
        encoder("transformers_audio", "sew")


@pytest.mark.parametrize("model", ["whisper", "clap", "wavlm"])
def test_a_model_without_class_token_refuses_to_give_one(encoder, model):
    with pytest.raises(EncoderError, match="this model has no class token"):
        encoder("transformers_audio", model, pooling="cls")


@pytest.mark.parametrize("model", ["whisper", "wavlm"])
def test_a_model_without_pooler_refuses_to_give_it(encoder, model):
    with pytest.raises(EncoderError, match="pooling=pooler: this model has no pooled output"):
        encoder("transformers_audio", model, pooling="pooler")


def test_an_unknown_pooling_is_refused(encoder):
    with pytest.raises(EncoderError, match="pooling is 'loudest', but must be one of"):
        encoder("transformers_audio", "wavlm", pooling="loudest")


def test_silence_gives_finite_numbers(encoder):
    for model in ("whisper", "clap", "ast", "wavlm"):
        built = encoder("transformers_audio", model)
        silence = Waveform(np.zeros(built.sample_rate, dtype=np.float32), built.sample_rate)
        assert encode(built, silence).isfinite().all()


def test_bfloat16_is_computed_in_and_recorded_and_latents_stay_float32(encoder, sound):
    half, full = encoder("transformers_audio", "wavlm", dtype="bfloat16"), encoder("transformers_audio", "wavlm")
    assert half.fingerprint["dtype"] == "bfloat16"
    first, second = encode(half, sound(1, 16000)), encode(full, sound(1, 16000))
    assert first.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(first, second).min() > 0.99


def test_the_fingerprint_names_the_feature_extractor_and_that_the_model_is_local(encoder):
    fingerprint = encoder("transformers_audio", "whisper").fingerprint
    assert (fingerprint["model"], fingerprint["revision"]) == ("whisper", "local")
    assert fingerprint["preprocessing"]["feature_extractor_type"] == "WhisperFeatureExtractor"
