"""Spans of items through an encoder: order, bad items, workers, progress."""

import io
import os
import signal
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pytest
import soundfile
import soxr
import torch

from fusemix.encoders import reading
from fusemix.encoders.extract import extract
from fusemix.encoders.reading import Task
from fusemix.errors import EncoderError
from fusemix.interfaces import Items, Waveform

SENTENCE = "a dog runs over the green grass while two small children laugh and throw red balls"


@dataclass(frozen=True)
class Stored:
    """Reads raw items from memory; an exception in the list is raised."""

    raws: list

    def __call__(self, row):
        if isinstance(self.raws[row], Exception):
            raise self.raws[row]
        return self.raws[row]


@dataclass
class Letters:
    """An encoder of one's own: number of characters and of words. Notes the batches it was given."""

    modality = "text"
    dim = 2
    sample_rate = None
    batches: list = field(default_factory=list)
    fingerprint: dict = field(default_factory=dict)

    def to(self, device):
        return self

    def prepare(self, contents):
        return list(contents)

    def length(self, prepared):
        return len(prepared)

    def collate(self, prepared):
        return list(prepared)

    def encode(self, batch):
        self.batches.append(list(batch))
        return torch.tensor([[float(len(text)), float(len(text.split()))] for text in batch])


def items_of(modality, raws):
    return Items(modality, pa.table({"id": [f"item-{i}" for i in range(len(raws))]}), Stored(raws))


def run_all(items, encoders, spans=None, *, batch_size=4, num_workers=0, wanted=None, seconds=None):
    """Encode with several encoders; returns for each span what each of them gave."""
    counted = []
    spans = spans or [range(len(items))]
    tasks = [Task(span, names) for span, names in zip(spans, wanted or [tuple(encoders)] * len(spans), strict=True)]
    extracted = list(
        extract(
            items,
            encoders,
            tasks,
            batch_sizes=dict.fromkeys(encoders, batch_size),
            num_workers=num_workers,
            device=torch.device("cpu"),
            advance=lambda count, rejected: counted.append((count, len(rejected))),
            seconds=defaultdict(float) if seconds is None else seconds,
        )
    )
    assert [part.latents.shape[0] for of in extracted for part in list(of.values())[:1]] == [len(s) for s in spans]
    assert sum(count for count, _ in counted) == sum(len(span) for span in spans)
    assert sum(bad for _, bad in counted) == sum(len(part.rejected) for of in extracted for part in of.values())
    return extracted


def run(items, encoder, spans=None, **options):
    return [of["only"] for of in run_all(items, {"only": encoder}, spans, **options)]


def texts_of_all_lengths(count):
    generator, words = np.random.default_rng(0), SENTENCE.split()
    return [" ".join(generator.choice(words, generator.integers(1, 16))) for _ in range(count)]


def sound_bytes(seconds, rate=16000, seed=0):
    samples = np.random.default_rng(seed).standard_normal(int(seconds * rate)) * 0.1
    file = io.BytesIO()
    soundfile.write(file, samples.astype(np.float32), rate, format="WAV", subtype="FLOAT")
    return file.getvalue()


@pytest.fixture
def pictures(picture, file_of):
    """Nine files; one cannot be read, one is no picture, one breaks off."""
    raws = [file_of(picture(40 + i, 30 + 2 * i, seed=i)) for i in range(9)]
    raws[1] = FileNotFoundError("no such file:\n  gone.png")
    raws[4] = b"this is no picture"
    raws[6] = raws[6][: len(raws[6]) // 2]
    return raws


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


# Bad items


def test_a_picture_that_cannot_be_read_or_decoded_is_set_aside_with_the_reason(encoder, pictures):
    (encoded,) = run(items_of("image", pictures), encoder("hog"))
    read, garbage, broken = encoded.rejected
    assert (read.id, read.stage, read.reason) == ("item-1", "read", "FileNotFoundError: no such file: gone.png")
    assert (garbage.id, garbage.stage) == ("item-4", "decode")
    assert garbage.reason == "UnidentifiedImageError: cannot identify image file <_io.BytesIO object>"
    assert (broken.id, broken.stage) == ("item-6", "decode")


def test_the_row_of_a_bad_picture_is_nan_and_its_neighbours_are_unharmed(encoder, pictures):
    built = encoder("hog")
    (encoded,) = run(items_of("image", pictures), built)
    for row, latent in enumerate(encoded.latents):
        if row in (1, 4, 6):
            assert np.isnan(latent).all()
        else:
            (alone,) = run(items_of("image", [pictures[row]]), built)
            assert np.array_equal(latent, alone.latents[0])


def test_a_blank_text_is_set_aside():
    (encoded,) = run(items_of("text", ["a dog", " \n", "grass"]), Letters())
    assert [tuple(item) for item in encoded.rejected] == [("item-1", "decode", "ValueError: the text is empty")]
    assert np.isnan(encoded.latents[:, 0]).tolist() == [False, True, False]


def test_a_sound_too_short_to_be_prepared_is_set_aside(encoder):
    built = encoder("transformers_audio", "ast")
    raws = [sound_bytes(1.0), sound_bytes(0.01), sound_bytes(2.0, seed=1)]
    (encoded,) = run(items_of("audio", raws), built)
    assert [(item.id, item.stage) for item in encoded.rejected] == [("item-1", "prepare")]
    assert "ValueError: negative dimensions" in encoded.rejected[0].reason
    assert np.isnan(encoded.latents).all(axis=1).tolist() == [False, True, False]
    (alone,) = run(items_of("audio", raws[2:]), built)
    np.testing.assert_allclose(encoded.latents[2], alone.latents[0], rtol=1e-5, atol=1e-5)


def test_a_sound_too_short_for_the_model_itself_is_set_aside(encoder):
    built = encoder("transformers_audio", "wavlm")
    raws = [sound_bytes(1.0), sound_bytes(0.01), sound_bytes(0.5, seed=1)]
    (encoded,) = run(items_of("audio", raws), built)
    assert [(item.id, item.stage) for item in encoded.rejected] == [("item-1", "encode")]
    assert encoded.rejected[0].reason.startswith("RuntimeError: ")
    assert np.isnan(encoded.latents).all(axis=1).tolist() == [False, True, False]
    (alone,) = run(items_of("audio", raws[2:]), built)
    np.testing.assert_allclose(encoded.latents[2], alone.latents[0], rtol=1e-5, atol=1e-5)


def test_a_span_of_nothing_but_bad_items_is_all_nan(encoder):
    raws = [b"no", b"pictures", OSError("gone")]
    (encoded,) = run(items_of("image", raws), encoder("hog"), batch_size=2)
    assert [item.id for item in encoded.rejected] == ["item-0", "item-1", "item-2"]
    assert np.isnan(encoded.latents).all()


def test_a_bad_item_is_reported_with_the_span_that_holds_it(encoder, pictures):
    encoded = run(items_of("image", pictures), encoder("hog"), [range(0, 4), range(4, 6), range(6, 9)])
    assert [[item.id for item in part.rejected] for part in encoded] == [["item-1"], ["item-4"], ["item-6"]]


def test_a_long_reason_is_cut_to_one_line_of_300_characters():
    (encoded,) = run(items_of("text", [OSError("broken\n" * 200)]), Letters())
    (item,) = encoded.rejected
    assert len(item.reason) == 300
    assert "\n" not in item.reason


def test_an_error_of_the_device_is_no_items_fault_and_ends_the_run():
    class Failing(Letters):
        def encode(self, batch):
            raise torch.AcceleratorError("device-side assert")

    with pytest.raises(torch.AcceleratorError, match="device-side assert"):
        run(items_of("text", ["a dog", "grass"]), Failing())


# Memory


class Small(Letters):
    """Takes three items at once, and no more."""

    def encode(self, batch):
        if len(batch) > 3:
            self.batches.append(f"{len(batch)} were too many")
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return super().encode(batch)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_batch_too_large_for_memory_is_halved_and_nothing_is_lost(num_workers):
    texts, small = texts_of_all_lengths(100), Small()
    (encoded,) = run(items_of("touch", texts), small, batch_size=8, num_workers=num_workers)
    assert encoded.latents[:, 0].tolist() == [len(text) for text in texts]
    assert not encoded.rejected


def test_once_halved_the_batches_that_follow_are_small_from_the_start():
    small = Small()
    run(items_of("touch", texts_of_all_lengths(40)), small, batch_size=8)
    failed = [batch for batch in small.batches if isinstance(batch, str)]
    assert failed == ["8 were too many", "4 were too many", "4 were too many"], "the first eight, and both their halves"


def test_an_item_that_alone_is_too_large_ends_the_run_with_advice():
    class Full(Letters):
        def encode(self, batch):
            raise RuntimeError(
                "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
            )

    with pytest.raises(
        EncoderError, match=r"encoders.only: not even one item fits into the memory of cpu.*Use a smaller"
    ):
        run(items_of("text", ["a dog", "grass"]), Full())


def test_a_reading_process_that_is_killed_ends_the_run_with_advice():
    class Deadly(Letters):
        def prepare(self, contents):
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(EncoderError, match=r"ended from outside: DataLoader worker.*--shm-size=8g"):
        run(items_of("text", ["a dog", "grass"]), Deadly(), num_workers=1)


# Several encoders


def test_several_encoders_share_one_reading_of_each_item(encoder, pictures, tmp_path):
    reads = tmp_path / "reads"

    @dataclass(frozen=True)
    class Counted(Stored):
        def __call__(self, row):
            with reads.open("a") as file:
                file.write(f"{row}\n")
            return super().__call__(row)

    items = Items("image", items_of("image", pictures).table, Counted(pictures))
    encoders = {"hog": encoder("hog"), "vit": encoder("transformers_image", "vit")}
    (together,) = run_all(items, encoders, batch_size=2)
    assert reads.read_text().split() == [str(row) for row in range(len(pictures))]
    for name, built in encoders.items():
        (alone,) = run(items_of("image", pictures), built, batch_size=2)
        assert np.array_equal(together[name].latents, alone.latents, equal_nan=True)
        assert together[name].rejected == alone.rejected


def test_encoders_that_hear_at_different_rates_get_the_same_sound_each_at_its_own(encoder):
    raws = [sound_bytes(1.0, rate=44100, seed=seed) for seed in range(3)]
    encoders = {"wavlm": encoder("transformers_audio", "wavlm"), "clap": encoder("transformers_audio", "clap")}
    assert encoders["wavlm"].sample_rate != encoders["clap"].sample_rate
    (together,) = run_all(items_of("audio", raws), encoders)
    for name, built in encoders.items():
        (alone,) = run(items_of("audio", raws), built)
        assert np.array_equal(together[name].latents, alone.latents)


def test_an_encoder_runs_only_over_the_spans_that_want_it():
    first, second = Letters(), Letters()
    texts = texts_of_all_lengths(9)
    spans, wanted = [range(0, 4), range(4, 9)], [("first", "second"), ("second",)]
    extracted = run_all(items_of("text", texts), {"first": first, "second": second}, spans, wanted=wanted)
    assert [list(of) for of in extracted] == [["first", "second"], ["second"]]
    assert sum(map(len, first.batches)) == 4
    assert sum(map(len, second.batches)) == 9


def test_what_one_encoder_cannot_take_another_one_still_gets():
    class NoGrass(Letters):
        def prepare(self, contents):
            if "grass" in contents:
                raise ValueError("hay fever")
            return list(contents)

    (of,) = run_all(items_of("text", ["a dog", "grass", "a ball"]), {"fine": Letters(), "ill": NoGrass()})
    assert not of["fine"].rejected
    assert [tuple(item) for item in of["ill"].rejected] == [("item-1", "prepare", "ValueError: hay fever")]
    assert of["fine"].latents[:, 0].tolist() == [5, 5, 6]
    assert np.isnan(of["ill"].latents[:, 0]).tolist() == [False, True, False]


def test_items_that_do_not_go_into_one_batch_go_singly():
    class Unlike(Letters):
        def collate(self, prepared):
            if len({len(text) for text in prepared}) > 1:
                raise ValueError("unlike lengths")
            return list(prepared)

    texts = ["a dog", "a cat", "grass runs"]
    (encoded,) = run(items_of("touch", texts), Unlike())
    assert encoded.latents[:, 0].tolist() == [5, 5, 10]


def test_time_is_told_apart_by_stage():
    seconds = defaultdict(float)
    run(items_of("text", texts_of_all_lengths(20)), Letters(), seconds=seconds)
    assert set(seconds) == {"read", "decode", "prepare", "wait", "encode"}
    assert all(duration >= 0 for duration in seconds.values())


# Workers


def test_two_workers_give_what_none_gives(encoder, pictures):
    spans = [range(0, 5), range(5, 9)]
    alone = run(items_of("image", pictures), encoder("hog"), spans, batch_size=2)
    shared = run(items_of("image", pictures), encoder("hog"), spans, batch_size=2, num_workers=2)
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
