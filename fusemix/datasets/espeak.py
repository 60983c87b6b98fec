"""Texts spoken by espeak-ng: the same samples in whatever order, thread or process.

Place in the flow: text and voice -> Waveform; spoken_glyphs.py reads its items here.
Not here: what is spoken.

espeak-ng keeps phases, flutter and noise of earlier sounds, in part beyond `espeak_Terminate`. So its library is loaded
for each sound and let go of after it, which takes milliseconds; a lock keeps threads apart.
Source: espeak-ng 1.52, src/include/espeak-ng/speak_lib.h, in the package espeakng-loader. espeak-ng is under GPL-3;
fusemix holds nothing of it and loads it where this module is used.
"""

import ctypes
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import espeakng_loader
import numpy as np

from fusemix.contents import Waveform
from fusemix.errors import DatasetError
from fusemix.parts.registry import nearest

SYNCHRONOUS, DO_NOT_EXIT = 2, 0x8000
"""AUDIO_OUTPUT_SYNCHRONOUS, and espeakINITIALIZE_DONT_EXIT, where its data are missing."""
RATE, UTF8 = 1, 1
"""espeakRATE, the parameter, and espeakCHARS_UTF8."""
SLOWEST, FASTEST = 80, 450
"""Words a minute, espeakRATE_MINIMUM and espeakRATE_MAXIMUM."""
FULL_SCALE = 32768

_lock = threading.Lock()
_Taken = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def version() -> str:
    """Of the library, such as 1.52.0."""
    with _library() as (library, _):
        library.espeak_Info.restype = ctypes.c_char_p
        return library.espeak_Info(None).decode()


def require_voices(voices: Iterable[str]) -> None:
    """Refuse voices that espeak-ng would not speak in.

    Args:
        voices: a file of its voices, such as `en-us` or `en-gb-scotland`, and `+` with one of its variants, such as
            `en-us+f2`.

    Raises:
        DatasetError: there is no such voice or variant.
    """
    variants = sorted(path.name for path in Path(espeakng_loader.get_data_path(), "voices", "!v").iterdir())
    with _library() as (library, _):
        for voice in voices:
            base, plus, variant = voice.partition("+")
            if library.espeak_SetVoiceByName(base.encode()):
                raise DatasetError(f"espeak-ng has no voice {base!r}. Those of English: en, en-us, en-gb-scotland, …")
            # It takes any variant, and speaks without those that it does not know.
            if plus and variant not in variants:
                raise DatasetError(f"espeak-ng's voices have no variant {variant!r}.{nearest(variant, variants)}")


def speak(text: str, voice: str, rate: int) -> Waveform:
    """A text as a sound.

    Args:
        text: in the language of the voice.
        voice: as `require_voices` takes it.
        rate: words a minute, SLOWEST to FASTEST.

    Returns:
        Mono samples in [-1, 1), at the rate of the library: 22,050 Hz.
    """
    blocks = []

    def take(samples, count, events):  # noqa: ANN001, ANN202 the types are those of _Taken
        if samples and count:
            blocks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    taken, written = _Taken(take), text.encode()
    with _library() as (library, sample_rate):
        library.espeak_SetSynthCallback(taken)
        library.espeak_SetVoiceByName(voice.encode())
        library.espeak_SetParameter(RATE, rate, 0)
        library.espeak_Synth(written, ctypes.c_size_t(len(written) + 1), 0, 1, 0, UTF8, None, None)
    return Waveform(np.concatenate(blocks).astype(np.float32) / FULL_SCALE, sample_rate)


@contextmanager
def _library() -> Iterator[tuple[ctypes.CDLL, int]]:
    """The library as nothing was spoken yet, and the sample rate of what it speaks."""
    data = espeakng_loader.get_data_path()
    with _lock:
        library = ctypes.CDLL(espeakng_loader.get_library_path())
        try:
            sample_rate = library.espeak_Initialize(SYNCHRONOUS, 0, os.fsencode(data), DO_NOT_EXIT)
            if sample_rate <= 0:
                raise DatasetError(
                    f"espeak-ng cannot read its data in {data}. Install them again with: pip install --force-reinstall "
                    "espeakng-loader; a path of more than 140 characters is too long for it."
                )
            library.espeak_ng_SetRandSeed(ctypes.c_long(0))
            yield library, sample_rate
            library.espeak_Terminate()
        finally:
            _let_go(library)


def _let_go(library: ctypes.CDLL) -> None:
    handle = ctypes.c_void_p(library._handle)
    if sys.platform == "win32":
        ctypes.WinDLL("kernel32").FreeLibrary(handle)
    else:
        ctypes.CDLL(None).dlclose(handle)
