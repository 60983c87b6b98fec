"""Which files are pictures and which are sounds, by the endings of their names: the one list of all data sets.

Place in the flow: names of files, members of tars -> modality. What a file really holds is seen when it is decoded.
"""

from collections.abc import Mapping, Sequence
from functools import cache

from PIL import Image

PICTURES: Mapping[str, Sequence[str]] = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
    "AVIF": (".avif",),
}
"""The usual formats, by PIL's names, with their endings."""
BY_PILLOW_HEIF = (".heic", ".heif", ".hif", ".heics", ".heifs")
"""Pictures that PIL does not read; where pillow-heif is not there, they are set aside with what to install."""
SOUNDS: Mapping[str, Sequence[str]] = {
    "WAV": (".wav",),
    "WAVEX": (".wav",),
    "RF64": (".wav", ".rf64"),
    "FLAC": (".flac",),
    "OGG": (".ogg", ".oga", ".opus"),
    "MP3": (".mp3",),
    "AIFF": (".aiff", ".aif"),
    "AU": (".au",),
    "CAF": (".caf",),
}
"""The same of sounds, by libsndfile's names."""
BY_TORCHCODEC = (".m4a", ".aac", ".wma", ".webm")
"""Sounds that libsndfile does not read."""
NO_PICTURES = frozenset((".pdf", ".eps", ".ps", ".mpg", ".mpeg", ".hdf", ".h5", ".grib", ".bufr", ".wmf", ".emf"))
"""What PIL lists beside pictures: documents, films and data."""
NOUNS = {"image": "picture", "audio": "sound"}


@cache
def endings(modality: str) -> tuple[str, ...]:
    """Endings of pictures (`image`) or sounds (`audio`) in small letters, each with its dot, the usual ones first."""
    formats = {"image": PICTURES, "audio": SOUNDS}[modality]
    usual = [ending for of_format in formats.values() for ending in of_format]
    return tuple(dict.fromkeys([*usual, *(BY_TORCHCODEC if modality == "audio" else (*BY_PILLOW_HEIF, *_of_pil()))]))


def _of_pil() -> list[str]:
    Image.init()
    return sorted(ending for ending in Image.EXTENSION if ending not in NO_PICTURES)


def is_usual(modality: str, ending: str) -> bool:
    """Whether an ending is one of a usual format, rather than one that may belong to a mask or a thumbnail."""
    return any(ending in of_format for of_format in {"image": PICTURES, "audio": SOUNDS}[modality].values())
