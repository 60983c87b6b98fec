"""A process that decodes: whatever a file makes a decoder do, it can be ended, and its memory goes with it.

Place in the flow: encoded files -> what they state (Load) -> leave to go on -> pictures and sounds, as plain bytes.
Not here: the other end, in the server (decoders.py); what may be sent (uploads.py).

Both ends speak in JSON and in bytes. What is broken in here is told as a refusal, or by the end of the process.
"""

import json
import os
import signal
import warnings
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from fusemix.contents import Content, Waveform
from fusemix.encoders.decoding import decode_beginning, decode_image
from fusemix.encoders.heif import open_picture
from fusemix.web.answers import Refusal
from fusemix.web.budget import Load, refuse_beyond
from fusemix.web.uploads import picture_load, read_picture, read_sound, reason, sound_load

CPU_SEC = 15
"""Seconds of computing that the files of one request may take."""


class File(NamedTuple):
    """What is to be decoded.

    Attributes:
        kind: image or audio.
        raw: the bytes of the file.
        most: None for what a stranger sends; of the index's own items the shortest side in pixels, or the seconds,
            that are wanted.
    """

    kind: str
    raw: bytes
    most: int | None = None


def work(connection: Connection) -> None:
    """Decode what is asked for, until the other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends this
    warnings.simplefilter("ignore")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # decoders in C complain there, as often as a file lets them
    with suppress(Exception):
        _say(connection, {"ready": True})
        while True:
            _answer(connection)


def _limit_time() -> None:
    """What takes longer ends this process, whatever else the machine does."""
    with suppress(ImportError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        until = int(used.ru_utime + used.ru_stime) + CPU_SEC
        resource.setrlimit(resource.RLIMIT_CPU, (until, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _answer(connection: Connection) -> None:
    files = [File(kind, connection.recv_bytes(), most) for kind, most in json.loads(connection.recv_bytes())]
    _limit_time()
    try:
        _say(connection, {"load": load_of(files)})
        connection.recv_bytes()
        for file in files:
            _send(connection, content_of(file))
    except Refusal as refusal:
        _say(connection, {"refused": [refusal.status, refusal.message]})


def _say(connection: Connection, what: dict[str, Any]) -> None:
    connection.send_bytes(json.dumps(what).encode())


def load_of(files: list[File]) -> Load:
    """What files state to have together.

    Raises:
        Refusal: 422, one cannot be read, or they are more than a request may hold.
    """
    total = Load()
    for file in files:
        if file.most is None:
            total = total.plus(picture_load(file.raw) if file.kind == "image" else sound_load(file.raw))
            refuse_beyond(total)
        elif file.kind == "image":
            total = total.plus(own_picture_load(file.raw))
    return total


def own_picture_load(raw: bytes) -> Load:
    """What a picture of the index states to have; nothing where it cannot be read, which decoding it will say."""
    try:
        with open_picture(raw) as picture:
            return Load(pixels=picture.width * picture.height)
    except Exception:
        return Load()


def content_of(file: File) -> Content:
    """A file as it is decoded.

    Raises:
        Refusal: 422, it cannot be read.
    """
    if file.most is None:
        return read_picture(file.raw) if file.kind == "image" else read_sound(file.raw)
    try:
        if file.kind == "image":
            return decode_image(file.raw, file.most)
        return decode_beginning(file.raw, file.most)
    except Exception as error:
        raise Refusal(422, reason(error)) from error


def _send(connection: Connection, content: Content) -> None:
    if isinstance(content, Waveform):
        samples = np.ascontiguousarray(content.samples, dtype=np.float32)
        _say(connection, {"rate": content.sample_rate})
        connection.send_bytes(samples.tobytes())
    else:
        _say(connection, {"size": content.size})
        connection.send_bytes(content.tobytes())


def received(said: dict[str, Any], raw: bytes) -> Content:
    """What `_send` has sent."""
    if "rate" in said:
        return Waveform(np.frombuffer(raw, np.float32), said["rate"])
    return Image.frombytes("RGB", tuple(said["size"]), raw)
