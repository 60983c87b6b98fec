"""Bodies that a search must survive: broken, too deep, too large, of the wrong kind, in odd encodings."""

import base64
import io
import json
import random
import struct
import zipfile
import zlib

import numpy as np
import soundfile
from PIL import Image

GOOD = json.dumps({"queries": [{"text": "a dog ä 🐕"}, {"like": "x"}], "k": 20}, ensure_ascii=False).encode()
VALUES = [
    None,
    True,
    0,
    -1,
    1.5,
    1e308,
    "",
    "x",
    "\0",
    "\ud800",
    "🐕" * 2000,
    [],
    [[]],
    {},
    {"text": "a"},
    "a" * 100_000,
]
FIELDS = ["text", "image", "audio", "like", "embedding", "queries", "k", "__proto__", "", "text\0"]


def png(width=4, height=4):
    file = io.BytesIO()
    Image.new("L", (width, height)).save(file, "PNG")
    return file.getvalue()


def with_size(raw, width, height):
    """A PNG that says it is of another size; its checksum is right."""
    head = raw[12:16] + struct.pack(">II", width, height) + raw[24:29]
    return raw[:12] + head + struct.pack(">I", zlib.crc32(head)) + raw[33:]


def wav(seconds=0.1, rate=8000, channels=1):
    file = io.BytesIO()
    soundfile.write(file, np.zeros((int(seconds * rate), channels), np.float32), rate, format="WAV")
    return file.getvalue()


def zipped():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("a.png", png())
    return file.getvalue()


FILES = [
    b"",
    b"\0" * 100,
    b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    b"<html><script>alert(1)</script></html>",
    b"%PDF-1.7\n",
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n/x {(/etc/passwd) run} def",
    zipped(),
    png()[:30],
    png()[:-5],
    with_size(png(), 60_000, 60_000),
    with_size(png(), 9_000, 9_000),
    with_size(png(), 0, 0),
    b"GIF89a" + b"\xff" * 50,
    b"\xff\xd8\xff\xe0" + b"\0" * 100,
    b"II*\0" + b"\xff" * 60,
    wav()[:20],
    wav()[:60],
    b"RIFF\xff\xff\xff\xffWAVEfmt " + b"\xff" * 40,
    b"fLaC" + b"\xff" * 60,
    b"OggS" + b"\0" * 60,
    b"ID3" + b"\xff" * 60,
    b"\xff\xfb" + b"\0" * 200,
]


def bodies():
    yield from (GOOD[:end] for end in range(0, len(GOOD), 6))
    yield from (GOOD.decode().encode(name) for name in ("utf-16", "utf-32", "utf-8-sig"))
    yield GOOD.decode().encode("latin-1", "replace")
    yield from (b"", b" ", b"\0", b"null", b"0", b'""', b"[]", b"NaN", b"{}{}", b'{"text"}', b'{"text": "\\ud800"}')
    yield from (b"[" * 50_000, b'{"queries":' * 50_000, b'{"queries":' + b"[" * 900 + b"]" * 900 + b"}")
    yield b'{"k": ' + b"9" * 5000 + b', "text": "a"}'
    yield b'{"text": "a", "k": 1e400}'
    yield b'{"embedding": [' + b"9" * 400 + b"]}"
    yield b'{"text": "a", "text": 5}'
    yield from (json.dumps({field: value}).encode() for field in FIELDS for value in VALUES)
    yield from (json.dumps({"queries": [{field: value}]}).encode() for field in FIELDS for value in VALUES[:8])
    for raw in FILES:
        for kind in ("image", "audio"):
            yield json.dumps({kind: base64.b64encode(raw).decode()}).encode()
    generator = random.Random(0)
    for _ in range(40):
        damaged = bytearray(GOOD)
        for place in generator.sample(range(len(damaged)), 3):
            damaged[place] = generator.randrange(256)
        yield bytes(damaged)


NASTY = list(bodies())
