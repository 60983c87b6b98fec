"""Several encoders over one reading of each item."""

from dataclasses import dataclass

import numpy as np
from extracting import Letters, Stored, items_of, run, run_all, sound_bytes, texts_of_all_lengths

from fusemix.interfaces import Items

# Several encoders


def test_several_encoders_share_one_reading_of_each_item(encoder, raw_pictures, tmp_path):
    reads = tmp_path / "reads"

    @dataclass(frozen=True)
    class Counted(Stored):
        def __call__(self, row):
            with reads.open("a") as file:
                file.write(f"{row}\n")
            return super().__call__(row)

    items = Items("image", items_of("image", raw_pictures).table, Counted(raw_pictures))
    encoders = {"hog": encoder("hog"), "vit": encoder("transformers_image", "vit")}
    (together,) = run_all(items, encoders, batch_size=2)
    read_together = reads.read_text().split()
    assert set(read_together) == {str(row) for row in range(len(raw_pictures))}
    for name, built in encoders.items():
        reads.write_text("")
        (alone,) = run(items, built, batch_size=2)
        assert reads.read_text().split() == read_together, "around a file that is gone, more is read than once"
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
