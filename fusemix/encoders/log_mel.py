"""A classical encoder of sounds: cepstra of a log-mel spectrogram in segments of time. No weights.

Place in the flow: an encoder like any other; `make demo-sound` uses it.
Source: Davis & Mermelstein, "Comparison of Parametric Representations for Monosyllabic Word Recognition", IEEE TASSP 28
(1980), for cepstra; Young et al., "The HTK Book", for the mel scale; Viikki & Laurila, Speech Communication 25 (1998),
for bands of mean 0 and deviation 1 over each sound, which takes out loudness, microphone and much of the voice.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from fusemix.contents import Waveform
from fusemix.encoders.decoding import resample
from fusemix.encoders.one_size import OneSize
from fusemix.errors import EncoderError

RULES = 1
"""Number of the rules below; raised whenever a sound gives other numbers."""
SAMPLE_RATE = 16_000
FRAME, HOP, FFT = 400, 160, 512
"""25 ms and 10 ms, in samples, and the length that a frame is filled up to with zeros."""
LOWEST_HZ, HIGHEST_HZ = 60.0, 7600.0
FLOOR = 1e-6
"""Energies below so much of the loudest count as that: -60 dB."""
SILENCE = 8.0
"""What is quieter than the loudest by so much, in natural logarithms of energy (35 dB), is silence at both ends."""
LEAST_DEVIATION = 0.1
"""Added to the deviation of a band, so that what stands still is not blown up."""
FRAMES_AT_ONCE = 4096
MOST = 4096
"""Of any option, that a slip of the hand may not ask for all memory."""


def log_mel(
    *, bands: int = 64, coefficients: int = 13, segments: int = 16, segment_frames: int = 10
) -> "LogMelEncoder":
    """Cepstra in segments of a sound's beginning, of its end and of the whole, and how much they vary.

    Args:
        bands: of the spectrogram, equally wide in mel, of 60 to 7,600 Hz.
        coefficients: cepstra that are kept, the first of which is the tilt of the spectrum.
        segments: of the beginning, as many of the end, and as many equal ones of the whole, however long it is.
        segment_frames: frames of 10 ms that are averaged in a segment of the beginning and of the end.

    Raises:
        EncoderError: a number is not positive or too large, or there are fewer bands than cepstra need.
    """
    if not (1 <= coefficients < bands <= FFT // 2 and min(segments, segment_frames) >= 1) or (
        segments * segment_frames > MOST
    ):
        raise EncoderError(
            f"log_mel with bands={bands}, coefficients={coefficients}, segments={segments}, "
            f"segment_frames={segment_frames}: numbers must be positive, coefficients fewer than bands, bands at most "
            f"{FFT // 2}, and segments × segment_frames at most {MOST:,}."
        )
    return LogMelEncoder(bands, coefficients, segments, segment_frames)


class LogMelEncoder(OneSize):
    """Sounds -> cepstra in segments; see `log_mel`."""

    modality = "audio"
    sample_rate = SAMPLE_RATE

    def __init__(self, bands: int, coefficients: int, segments: int, segment_frames: int) -> None:
        self._segments, self._frames = segments, segment_frames
        self._filters, self._cosines = mel_filters(bands), cosines(coefficients, bands)
        self.dim = (3 * segments + 2) * coefficients + 1
        self.fingerprint: dict[str, Any] = {
            "family": "log_mel",
            "bands": bands,
            "coefficients": coefficients,
            "segments": segments,
            "segment_frames": segment_frames,
            "rules": {"log_mel": RULES},
        }

    def prepare(self, contents: Sequence[Waveform]) -> list[Float[np.ndarray, " dim"]]:
        """All the work: it needs no device, and workers share it out."""
        return [self._describe(resample(wave, SAMPLE_RATE).samples) for wave in contents]

    def encode(self, batch: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """Nothing is left to do."""
        return batch

    def _describe(self, samples: Float[np.ndarray, " samples"]) -> Float[np.ndarray, " dim"]:
        frames = without_silence(log_energies(samples, self._filters))
        cepstra = normalised(frames) @ self._cosines.T
        wanted = self._segments * self._frames
        missing = max(0, wanted - len(cepstra))
        first = np.pad(cepstra[:wanted], ((0, missing), (0, 0)))
        last = np.pad(cepstra[-wanted:], ((missing, 0), (0, 0)))
        means = [segment_means(view, self._segments).ravel() for view in (first, last, cepstra)]
        steps = np.diff(cepstra, axis=0, prepend=cepstra[:1])
        return np.concatenate(
            [*means, cepstra.std(axis=0), steps.std(axis=0), [np.log(len(cepstra))]], dtype=np.float32
        )


def mel_filters(bands: int) -> Float[np.ndarray, "bands bins"]:
    """Triangles over the bins of the spectrum, equally wide in mel = 2595 log10(1 + hertz / 700), 1 at their tops.

    Each reaches from the top of the one below to the top of the one above.
    """
    lowest, highest = (2595 * np.log10(1 + hertz / 700) for hertz in (LOWEST_HZ, HIGHEST_HZ))
    corners = 700 * (10 ** (np.linspace(lowest, highest, bands + 2) / 2595) - 1)
    below, top, above = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    hertz = np.arange(FFT // 2 + 1) * SAMPLE_RATE / FFT
    rising, falling = (hertz - below) / (top - below), (above - hertz) / (above - top)
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def cosines(coefficients: int, bands: int) -> Float[np.ndarray, "coefficients bands"]:
    """Rows 1 to `coefficients` of the orthonormal DCT-II; row 0, the loudness, is left out."""
    angles = np.outer(np.arange(1, coefficients + 1), np.arange(bands) + 0.5) * np.pi / bands
    return (np.sqrt(2 / bands) * np.cos(angles)).astype(np.float32)


def log_energies(
    samples: Float[np.ndarray, " samples"], filters: Float[np.ndarray, "bands bins"]
) -> Float[np.ndarray, "frames bands"]:
    """Logarithms of the energies in each band and frame, at least FLOOR of the loudest; 0 throughout for silence.

    Args:
        samples: at SAMPLE_RATE; less than a frame is filled up with zeros, and a rest behind the last frame left out.
        filters: over the bins of a spectrum of FFT samples.
    """
    samples = np.pad(samples.astype(np.float32), (0, max(0, FRAME - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::HOP]
    window = np.hanning(FRAME + 1)[:FRAME].astype(np.float32)
    parts = []
    for at in range(0, len(frames), FRAMES_AT_ONCE):
        spectrum = np.fft.rfft(frames[at : at + FRAMES_AT_ONCE] * window, FFT)
        parts.append((spectrum.real**2 + spectrum.imag**2) @ filters.T)
    energies = np.concatenate(parts)
    loudest = energies.max()
    return np.log(np.maximum(energies / loudest, FLOOR)) if loudest > 0 else np.zeros_like(energies)


def without_silence(frames: Float[np.ndarray, "frames bands"]) -> Float[np.ndarray, "kept bands"]:
    """What is left when frames that are quieter than the loudest by SILENCE are cut off at both ends."""
    loudness = frames.max(axis=1)
    heard = np.flatnonzero(loudness >= loudness.max() - SILENCE)
    return frames[heard[0] : heard[-1] + 1]


def normalised(frames: Float[np.ndarray, "frames bands"]) -> Float[np.ndarray, "frames bands"]:
    """Each band with mean 0 and, but for LEAST_DEVIATION, deviation 1 over time."""
    return (frames - frames.mean(axis=0)) / (frames.std(axis=0) + LEAST_DEVIATION)


def segment_means(frames: Float[np.ndarray, "frames width"], segments: int) -> Float[np.ndarray, "segments width"]:
    """Means over equal stretches of time; a frame that two of them share counts in each by its share."""
    sums = np.pad(np.cumsum(frames, axis=0, dtype=np.float64), ((1, 1), (0, 0)), mode="constant")
    sums[-1] = sums[-2]
    ends = np.linspace(0, len(frames), segments + 1)
    whole = ends.astype(int)
    at_ends = sums[whole] + (ends - whole)[:, None] * (sums[whole + 1] - sums[whole])
    return np.diff(at_ends, axis=0) * (segments / len(frames))
