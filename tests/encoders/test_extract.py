"""Spans of items through an encoder: order, workers, progress."""

import io
from collections import defaultdict

import numpy as np
import pytest
import soundfile
import soxr
import torch
from extracting import Letters, items_of, run, sound_bytes, texts_of_all_lengths

from fusemix.encoders import extract as extract_module
from fusemix.encoders import reading
from fusemix.encoders.copies import Copies
from fusemix.interfaces import Waveform

# Order and spans


def test_rows_come_back_in_order_whatever_the_lengths(encoder):
    built, texts = encoder("transformers_text", "bert"), texts_of_all_lengths(23)
    (encoded,) = run(items_of("text", texts), built, batch_size=4)
    assert encoded.latents.dtype == np.float32
    for text, latent in zip(texts, encoded.latents, strict=True):
        expected = built.encode(built.collate(built.prepare([text])))[0]
        np.testing.assert_allclose(latent, expected, rtol=1e-5, atol=1e-5)


def test_texts_of_like_length_share_a_batch_within_windows_that_double():
    texts, letters = texts_of_all_lengths(80), Letters()
    run(items_of("text", texts), letters, batch_size=8)
    batches = [[len(text) for text in batch] for batch in letters.batches]
    assert [len(batch) for batch in batches] == [8] * 10
    for start, stop in ((0, 1), (1, 3), (3, 7), (7, 10)):  # windows of 1, 2, 4 and, of the 8, the 3 that are left
        lengths = [length for batch in batches[start:stop] for length in batch]
        assert lengths == sorted(len(text) for text in texts[8 * start : 8 * stop])


def test_batches_do_not_reach_across_the_end_of_a_span():
    texts, letters = texts_of_all_lengths(20), Letters()
    spans = [range(0, 7), range(7, 14), range(14, 20)]
    encoded = run(items_of("text", texts), letters, spans, batch_size=4)
    assert [len(batch) for batch in letters.batches] == [4, 3, 4, 3, 4, 2]
    together = np.concatenate([part.latents for part in encoded])
    assert together.tolist() == [[len(text), len(text.split())] for text in texts]


def test_only_the_asked_spans_are_read():
    raws = texts_of_all_lengths(12)
    raws[3:8] = [AssertionError("must not be read")] * 5
    encoded = run(items_of("text", raws), Letters(), [range(0, 3), range(8, 12)])
    assert not any(part.rejected for part in encoded)
    assert encoded[1].latents[:, 0].tolist() == [len(text) for text in raws[8:]]


def test_a_span_longer_than_what_is_sorted_together_comes_back_whole(monkeypatch):
    monkeypatch.setattr(reading, "TEXTS_SORTED_TOGETHER", 6)
    monkeypatch.setattr(reading, "BATCHES_SORTED_TOGETHER", 1)
    texts, letters = texts_of_all_lengths(21), Letters()
    (encoded,) = run(items_of("text", texts), letters, batch_size=3)
    assert encoded.latents[:, 0].tolist() == [len(text) for text in texts]
    assert [len(batch) for batch in letters.batches] == [3] * 7
    windows = [sorted(letters.batches[at] + (letters.batches[at + 1] if at else [])) for at in (0, 1, 3, 5)]
    assert windows == [sorted(part) for part in (texts[:3], texts[3:9], texts[9:15], texts[15:])], "6 at most together"


def test_texts_are_cleaned_before_they_are_encoded():
    (encoded,) = run(items_of("text", ["  a\0dog \n", "grass"]), Letters())
    assert encoded.latents.tolist() == [[5, 2], [5, 1]]


def test_a_modality_of_ones_own_is_handed_through_as_it_is():
    (encoded,) = run(items_of("touch", ["  rough ", "soft"]), Letters())
    assert encoded.latents[:, 0].tolist() == [8, 4]


# Sounds


def test_sounds_are_resampled_to_what_the_encoder_hears(encoder):
    built = encoder("transformers_audio", "wavlm")
    (encoded,) = run(items_of("audio", [sound_bytes(1.0, rate=8000), sound_bytes(1.0)]), built)
    assert not encoded.rejected
    for latent, rate in zip(encoded.latents, (8000, 16000), strict=True):
        samples, _ = soundfile.read(io.BytesIO(sound_bytes(1.0, rate=rate)), dtype="float32")
        wave = Waveform(soxr.resample(samples, rate, 16000), 16000)
        np.testing.assert_allclose(latent, built.encode(built.collate(built.prepare([wave])))[0], rtol=1e-4, atol=1e-5)


def test_time_is_told_apart_by_stage():
    seconds = defaultdict(float)
    run(items_of("text", texts_of_all_lengths(20)), Letters(), seconds=seconds)
    assert set(seconds) == {"read", "decode", "prepare", "wait", "encode"}
    assert all(duration >= 0 for duration in seconds.values())


# Workers


def test_two_workers_give_what_none_gives(encoder, raw_pictures):
    spans = [range(0, 5), range(5, 9)]
    alone = run(items_of("image", raw_pictures), encoder("hog"), spans, batch_size=2)
    shared = run(items_of("image", raw_pictures), encoder("hog"), spans, batch_size=2, num_workers=2)
    for first, second in zip(alone, shared, strict=True):
        assert np.array_equal(first.latents, second.latents, equal_nan=True)
        assert first.rejected == second.rejected


@pytest.mark.parametrize(
    ("name", "model"), [("transformers_image", "vit"), ("timm", "timm_vit"), ("transformers_audio", "whisper")]
)
def test_workers_hand_over_what_any_family_prepares(encoder, picture, file_of, name, model):
    built = encoder(name, model)
    if built.modality == "image":
        raws = [file_of(picture(40, 30, seed=seed)) for seed in range(5)]
    else:
        raws = [sound_bytes(seconds) for seconds in (0.5, 1.0, 0.2, 31.0, 0.7)]
    items = items_of(built.modality, raws)
    (alone,), (shared,) = run(items, built, batch_size=2), run(items, built, batch_size=2, num_workers=2)
    assert not alone.rejected
    assert np.array_equal(alone.latents, shared.latents)


def test_latents_that_are_views_of_a_users_own_encoder_are_kept_in_memory_of_their_own():
    class Views(Letters):
        def encode(self, batch):
            return super().encode(batch)[:, None].repeat(1, 257, 1)[:, 0]

    encoder = Views()
    batch = encoder.collate(encoder.prepare(["a dog", "a cat"]))
    device = torch.device("cpu")
    views = extract_module._Run(items_of("text", ["a dog", "a cat"]), {"views": encoder}, {}, device, Copies(device))
    latents = views._latents("views", batch, 2)
    assert encoder.encode(batch).untyped_storage().nbytes() == 257 * latents.untyped_storage().nbytes()
    assert torch.equal(latents, encoder.encode(batch))
