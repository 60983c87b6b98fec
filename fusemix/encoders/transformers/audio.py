"""Audio models of Hugging Face transformers: Whisper's encoder, CLAP's audio tower, AST, WavLM and their like.

Place in the flow: sounds -> windows -> spectrograms or samples -> states -> one vector.

Three ways of padding would make a vector depend on more than its own sound; each is closed here:
Whisper sees 30 s whatever the sound, so only states of real frames are averaged; CLAP crops longer
sounds at random, so none reaches it; WavLM and its like see padding, so it is kept from them (padding.py), or
only windows of equal length share a pass.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from transformers import AutoFeatureExtractor

from fusemix.encoders.loading import explained, freeze
from fusemix.encoders.looked_over import look_over
from fusemix.encoders.pooling import RULES as POOLING_RULES
from fusemix.encoders.pooling import check_pooling, pool_tokens
from fusemix.encoders.transformers import padding
from fusemix.encoders.transformers.shared import chosen_layer, fingerprint, load_network, pooler_output, run, width
from fusemix.encoders.trial import first_latents, refuse_blind_first_token
from fusemix.encoders.windows import RULES as WINDOW_RULES
from fusemix.encoders.windows import SHORTEST_REST_SEC, cut_windows, mean_over_windows
from fusemix.errors import EncoderError
from fusemix.interfaces import Waveform
from fusemix.parts.kinds import Location

AST_HOP, AST_FRAME = 160, 400
"""Samples from one frame of the spectrogram to the next and in one frame, fixed in its feature extractor."""
AST_CLASS_TOKENS = 2


class Kind(NamedTuple):
    """What has to be known of a model type beside its weights.

    Attributes:
        tower: network -> the part that hears.
        window_sec: (feature extractor, config of the tower) -> longest window that the model takes whole.
        real_states: (samples of a window, number of states, feature extractor, config of the tower) -> which of its
            states stand for real sound, class tokens included; None: all.
        pads: config of the tower -> whether windows of unequal length may share a pass.
        num_prefix: class tokens before the states of the sound.
        mean_rules: number of the rules for a mean over this kind's states; raised whenever it changes.
    """

    tower: Callable[[Any], Any]
    window_sec: Callable[[Any, Any], float]
    real_states: Callable[[int, int, Any, Any], Tensor] | None = None
    pads: Callable[[Any], bool] = lambda config: False
    num_prefix: int = 0
    mean_rules: int = 1

    def __reduce__(self) -> tuple[Callable[[str], "Kind"], tuple[str]]:
        """By its name, for workers that are not forked: functions without a name cannot be pickled."""
        return _kind, (next(name for name, kind in KINDS.items() if kind is self),)


def _kind(name: str) -> Kind:
    return KINDS[name]


def _whisper_states(samples: int, num_states: int, extractor: Any, config: Any) -> Tensor:
    real = max(1, -(-samples // (2 * extractor.hop_length)))  # two spectrogram frames a state
    return torch.arange(num_states) < real


def _ast_states(samples: int, num_states: int, extractor: Any, config: Any) -> Tensor:
    """Patches that begin within the real frames; they stand band by band, each from start to end of the sound."""
    frames = 1 + max(0, samples - AST_FRAME) // AST_HOP
    columns = (config.max_length - config.patch_size) // config.time_stride + 1
    is_real = torch.arange(columns) * config.time_stride < frames
    return torch.cat(
        [torch.ones(AST_CLASS_TOKENS, dtype=torch.bool), is_real.repeat((num_states - AST_CLASS_TOKENS) // columns)]
    )


def _ast_window(extractor: Any, config: Any) -> float:
    return config.max_length * AST_HOP / extractor.sampling_rate


WHISPER = Kind(lambda n: n.get_encoder(), lambda x, c: x.chunk_length, _whisper_states)
CLAP = Kind(lambda n: getattr(n, "audio_model", n), lambda x, c: x.max_length_s)
AST = Kind(lambda n: n, _ast_window, _ast_states, num_prefix=AST_CLASS_TOKENS, mean_rules=2)
RAW = Kind(lambda n: n, lambda x, c: 30.0, pads=padding.can_pad)
EQUAL = Kind(lambda n: n, lambda x, c: 30.0)
KINDS = {
    "whisper": WHISPER,
    "clap": CLAP,
    "clap_audio_model": CLAP,
    "audio-spectrogram-transformer": AST,
    "wavlm": RAW,
    "wav2vec2": RAW,
    "hubert": RAW,
    "unispeech-sat": RAW,
    "data2vec-audio": EQUAL,  # tells positions by five convolutions, of which each spreads what padding holds
}


class Window(NamedTuple):
    """One window of one sound, ready for the model."""

    features: np.ndarray
    num_samples: int


class WindowBatch(NamedTuple):
    """Windows of several sounds, in passes of equal shape.

    Attributes:
        passes: features of the windows that go through the model together.
        owners: for each window, over all passes, the sound that it belongs to.
        num_samples: real samples of each window.
        num_sounds: how many sounds.
    """

    passes: list[Tensor]
    owners: list[int]
    num_samples: list[int]
    num_sounds: int


def transformers_audio(
    *,
    model: Location,
    revision: str | None = None,
    pooling: str = "mean",
    layer: int | None = None,
    window_sec: float | None = None,
    dtype: str = "float32",
) -> "TransformersAudio":
    """Load an audio model and its feature extractor.

    Args:
        model: hub name or local folder.
        revision: commit, tag or branch on the hub; what it resolved to is recorded.
        pooling: `mean` (over real frames: Whisper, WavLM), `pooler` (CLAP, AST), or `cls` (AST).
        layer: index into the hidden states, where 0 is the input embedding; by default the model's
            final output. A chosen layer comes without the model's last norm.
        window_sec: longer sounds are cut into windows of this many seconds, whose vectors are averaged;
            by default, and at most, what the model takes whole (Whisper and WavLM 30, CLAP 10, AST 10.24).
        dtype: float32, bfloat16 or float16; auto is bfloat16 on GPUs that multiply it in hardware, else float32.

    Raises:
        EncoderError: the model cannot be loaded, is of an unknown type, or has no such pooling or layer.
    """
    check_pooling(pooling)
    with explained(model, revision) as folder:
        look_over(folder, revision)
        extractor = AutoFeatureExtractor.from_pretrained(folder, revision=revision, trust_remote_code=False)
    network = load_network(model, revision=revision, dtype=dtype, trust_remote_code=False)
    if network.config.model_type not in KINDS:
        raise EncoderError(
            f"the model {model!r} is of type {network.config.model_type!r}, and transformers_audio knows only: "
            f"{', '.join(KINDS)}. Wrap it as an encoder of your own (module:factory)."
        )
    return TransformersAudio(network, extractor, model, pooling, layer, window_sec, dtype)


class TransformersAudio:
    """Sounds -> latents; see `transformers_audio`."""

    modality = "audio"
    copied_ahead = True

    def __init__(
        self,
        network: Any,
        extractor: Any,
        model: str,
        pooling: str,
        layer: int | None,
        window_sec: float | None,
        dtype: str,
    ) -> None:
        self._kind = KINDS[network.config.model_type]
        self._tower: Any = freeze(self._kind.tower(network))
        self._extractor, self._pooling, self._layer = extractor, pooling, layer
        self._pads, self._dtype = self._kind.pads(self._tower.config), next(self._tower.parameters()).dtype
        self._shortest = padding.shortest(self._tower.config) if self._pads else 0
        self._together = False  # a CPU is faster with each length by itself
        self.sample_rate = int(extractor.sampling_rate)
        longest = self._kind.window_sec(extractor, self._tower.config)
        if window_sec is not None and not SHORTEST_REST_SEC < window_sec <= longest:
            raise EncoderError(
                f"window_sec is {window_sec}, but this model takes more than {SHORTEST_REST_SEC} "
                f"and at most {longest:g}."
            )
        self._window_samples = int((window_sec or longest) * self.sample_rate)
        second = Waveform(np.zeros(self.sample_rate, dtype=np.float32), self.sample_rate)
        self.dim = width(first_latents(self, second, model), network)
        refuse_blind_first_token(self, pooling)
        self.fingerprint = fingerprint(
            network,
            self._tower,
            model=model,
            dtype=dtype,
            preprocessing=extractor.to_dict(),
            rules={
                "pooling": POOLING_RULES,
                "windows": WINDOW_RULES,
                "audio": self._kind.mean_rules if "mean" in pooling else 1,
            },
            pooling=pooling,
            layer=layer,
            window_samples=self._window_samples,
        )

    def to(self, device: str) -> "TransformersAudio":
        """Move the model."""
        self._tower.to(device)
        self._together = torch.device(device).type != "cpu"
        return self

    def prepare(self, contents: Sequence[Waveform]) -> list[list[Window]]:
        """Windows, as the model's feature extractor renders them."""
        return [self._windows(wave) for wave in contents]

    def length(self, prepared: list[Window]) -> int:
        """Number of samples."""
        return sum(window.num_samples for window in prepared)

    def collate(self, prepared: Sequence[list[Window]]) -> WindowBatch:
        """Windows of equal shape side by side, or of like length, in passes of at most as many as there are sounds."""
        flat = [(owner, window) for owner, windows in enumerate(prepared) for window in windows]
        groups = self._groups([window for _, window in flat], most=len(prepared))
        passes = [
            padding.padded([torch.from_numpy(flat[place][1].features) for place in places]).to(self._dtype)
            for places in groups
        ]
        order = [flat[place] for places in groups for place in places]
        return WindowBatch(
            passes, [owner for owner, _ in order], [window.num_samples for _, window in order], len(prepared)
        )

    def encode(self, batch: WindowBatch) -> Float[Tensor, "batch dim"]:
        """Run pass by pass; average the windows of each sound."""
        vectors, at = [], 0
        for features in batch.passes:
            lengths = batch.num_samples[at : at + len(features)]
            parts = padding.unpadded(features, lengths) if self._pads and not self._together else [(features, lengths)]
            vectors += [self._encode_windows(*part) for part in parts]
            at += len(features)
        return mean_over_windows(torch.cat(vectors), batch.owners, batch.num_samples, batch.num_sounds)

    def _windows(self, wave: Waveform) -> list[Window]:
        cut = cut_windows(wave.samples, window_samples=self._window_samples, sample_rate=self.sample_rate)
        windows = []
        for samples in cut:
            features = self._extractor(samples, sampling_rate=self.sample_rate, return_tensors="np")
            name = self._extractor.model_input_names[0]
            windows.append(Window(np.asarray(features[name][0], dtype=np.float32), len(samples)))
        return windows

    def _groups(self, windows: Sequence[Window], most: int) -> list[list[int]]:
        """Which windows go through the model together."""
        if self._pads:
            return padding.passes_of([window.num_samples for window in windows], self._shortest, most)
        alike: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for place, window in enumerate(windows):
            alike[window.features.shape].append(place)
        return [places[at : at + most] for places in alike.values() for at in range(0, len(places), most)]

    def _encode_windows(self, features: Tensor, num_samples: list[int]) -> Float[Tensor, "windows dim"]:
        if self._pads and min(num_samples) < max(num_samples):
            return self._encode_padded(features, num_samples)
        inputs = {self._extractor.model_input_names[0]: features}
        if self._kind is CLAP:  # its feature extractor would mark one sound of the batch at random
            inputs["is_longer"] = torch.zeros(len(features), 1, dtype=torch.bool)
        outputs = run(self._tower, inputs, self._layer)
        if self._pooling == "pooler":
            return pooler_output(outputs, self._layer)
        states = chosen_layer(outputs, self._layer)
        if states.ndim == 4:  # CLAP gives a map: (windows, width, frequency, time)
            states = states.flatten(2).transpose(1, 2)
        mask = torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)
        if self._kind.real_states:
            known = (states.shape[1], self._extractor, self._tower.config)
            mask = torch.stack([self._kind.real_states(samples, *known) for samples in num_samples])
        prefix = self._kind.num_prefix
        return pool_tokens(states, mask.to(states.device), self._pooling, num_prefix=prefix, has_cls=prefix > 0)

    def _encode_padded(self, features: Tensor, num_samples: list[int]) -> Float[Tensor, "windows dim"]:
        mask = padding.is_real(num_samples, features.shape[1], next(self._tower.parameters()).device)
        inputs = {self._extractor.model_input_names[0]: features, "attention_mask": mask}
        with padding.norms_over_real_frames(self._tower, num_samples):
            states = chosen_layer(run(self._tower, inputs, self._layer), self._layer)
        frames = cast(Any, self._tower)._get_feat_extract_output_lengths(torch.tensor(num_samples)).tolist()
        real = padding.is_real(frames, states.shape[1], states.device)
        return pool_tokens(states, real, self._pooling, num_prefix=0, has_cls=False)
