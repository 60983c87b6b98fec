"""Every odd file of the table: through `decode`, and through the whole of stage 1 with a small real encoder."""

import json
import os
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from bad_files import FILES, write_folder
from bad_outcomes import Decoded, SetAside
from bad_pictures import chunk

from fusemix.cli.called import run_command
from fusemix.encoders.decoding import decode, resample
from fusemix.errors import LatentStoreError

pytestmark = [pytest.mark.filterwarnings(f"ignore:::PIL.{module}") for module in ("Image", "TiffImagePlugin")]

NOISY = ("cut-50%.mp3",)
"""Files on which libmpg123 writes to the error stream itself; nothing in Python can ask it not to."""

NAMES = [(modality, name) for modality, files in FILES.items() for name in files()]


def outcomes(kind):
    chosen = [(m, n) for m, n in NAMES if isinstance(FILES[m]()[n].outcome, kind)]
    return pytest.mark.parametrize(("modality", "name"), chosen, ids=[f"{m}-{n}" for m, n in chosen])


def size_and_values(content):
    if isinstance(content, str):
        return (len(content), 1), content
    if hasattr(content, "samples"):
        assert content.samples.dtype == np.float32
        return (len(content.samples), content.sample_rate), content.samples
    assert content.mode == "RGB"
    return content.size, np.asarray(content)


@outcomes(Decoded)
def test_what_is_whole_is_decoded_to_what_it_holds(modality, name):
    raw, expected = FILES[modality]()[name]
    size, values = size_and_values(decode(modality, raw))
    assert size == expected.size
    if modality == "text":
        assert values == expected.value
    else:
        assert np.abs(values.astype(np.float64) - expected.value).max() <= expected.within


@outcomes(SetAside)
def test_what_is_not_whole_raises_with_its_reason(modality, name):
    raw, expected = FILES[modality]()[name]
    with pytest.raises(Exception, match=expected.reason):
        decode(modality, raw)


@outcomes(SetAside)
def test_what_is_set_aside_says_nothing_on_the_error_stream(modality, name, capfd):
    with pytest.raises(Exception, match="."):
        decode(modality, FILES[modality]()[name].raw)
    assert capfd.readouterr().err == "" or name in NOISY


@pytest.mark.parametrize("name", ["bomb-header.png", "bomb-small.png", "bomb.png", "row.png"])
def test_a_picture_that_is_too_large_is_known_by_its_header_alone(name):
    raw, expected = FILES["image"]()[name]
    header = raw[:33] + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    tracemalloc.start()
    try:
        with pytest.raises(Exception, match=expected.reason):
            decode("image", header)
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("rate", [16000, 48000])
def test_a_resampled_sound_has_the_length_that_its_duration_asks_for(rate):
    for name, (raw, outcome) in FILES["audio"]().items():
        if isinstance(outcome, Decoded):
            samples, before = outcome.size
            assert abs(len(resample(decode("audio", raw), rate).samples) - samples * rate / before) <= 0.5, name
    assert len(resample(decode("audio", FILES["audio"]()["ten-minutes.wav"].raw), rate).samples) == 600 * rate


def test_no_warning_of_pil_reaches_a_run():
    """In a process of its own: pytest has warning filters that replace those of fusemix."""
    code = (
        "from bad_files import FILES\n"
        "from fusemix.encoders.decoding import decode\n"
        "for file in FILES['image']().values():\n"
        "    try:\n"
        "        decode('image', file.raw)\n"
        "    except Exception:\n"
        "        pass\n"
        "print('done')\n"
    )
    where = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    done = subprocess.run([sys.executable, "-c", code], env=where, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("done\n", "")


# Through the whole of stage 1


def cached(folder, modality, files, *settings):
    """Cache a folder of files, or texts as captions of one picture each; returns the folder of the latent set."""
    if modality == "text":
        captions = {f"{i}.png": file.raw for i, file in enumerate(files.values())}
        pixel = FILES["image"]()["one-pixel.png"]
        path = write_folder(folder, dict.fromkeys(captions, pixel))
        path.write_text("\n".join(json.dumps({"file": f, "caption": text}) for f, text in captions.items()))
    else:
        path = write_folder(folder, files)
    kind = "image" if modality == "text" else modality
    (latent_set,) = run_command(
        "cache_features",
        [
            f"dataset={{name: {kind}_captions, options: {{folder: {folder / 'files'}, captions: {path}}}}}",
            *("splits=[all]", "compute.accelerator=cpu", "num_workers=0", "batch_size=8", "dtype=float32"),
            f"out={folder / 'latents'}",
            *settings,
        ],
    )
    return latent_set


def encoder_setting(modality, model_folder):
    model = {"image": "dinov2", "audio": "whisper", "text": "bert"}[modality]
    return f"encoders.tiny={{name: transformers_{modality}, options: {{model: {model_folder(model)}}}}}"


def latents_of(store):
    return np.concatenate([np.load(path) for path in sorted(store.glob("latents-*.npy"))])


@pytest.mark.parametrize("modality", ["image", "audio", "text"])
def test_stage_1_sets_aside_exactly_what_the_table_says(modality, model_folder, tmp_path):
    files = {name: file for name, file in FILES[modality]().items() if goes_into_a_caption_file(modality, file)}
    encoder = encoder_setting(modality, model_folder)
    store = cached(tmp_path, modality, files, encoder, "max_bad_fraction=1") / modality / "tiny"
    ids = [f"{i}.png#0" for i in range(len(files))] if modality == "text" else list(files)
    bad = {item: file.outcome.reason for item, file in zip(ids, files.values(), strict=True) if is_bad(file)}
    listed = [json.loads(line) for line in (store / "quarantine.jsonl").read_text().splitlines()]
    assert {row["id"] for row in listed} == set(bad)
    assert len(listed) == len(bad)
    for row in listed:
        assert row["stage"] == "decode"
        assert re.search(bad[row["id"]], row["reason"]), row
        assert " at 0x" not in row["reason"]
    latents = latents_of(store)
    usable = np.array([item not in bad for item in ids])
    assert np.isfinite(latents[usable]).all()
    assert np.isnan(latents[~usable]).all()


def is_bad(file):
    return isinstance(file.outcome, SetAside)


def goes_into_a_caption_file(modality, file):
    """Texts that are no str, or empty from the start, do not come as far as an encoder."""
    return modality != "text" or (isinstance(file.raw, str) and bool(file.raw.strip()))


@pytest.mark.parametrize("modality", ["image", "audio"])
def test_a_mostly_broken_folder_stops_the_run_and_says_why(modality, model_folder, tmp_path):
    files = FILES[modality]()
    broken = dict([pair for pair in files.items() if is_bad(pair[1])][:9] + list(files.items())[:3])
    message = (
        r"8 of 8 items so far could not be used, which is more than max_bad_fraction=0\.1 allows:\n  \S+ \(decode\): "
    )
    with pytest.raises(LatentStoreError, match=message):
        cached(tmp_path, modality, broken, encoder_setting(modality, model_folder), "max_bad_fraction=0.1")
