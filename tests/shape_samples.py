"""Pictures of coloured shapes, and encoders of one's own that see them."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

COLOURS = ["red", "green", "blue", "yellow", "black", "purple"]
SHAPES = ["square", "circle", "triangle", "bar"]
OWN_ENCODERS = """
import numpy as np, torch
from PIL import ImageColor

class Colour:
    modality, dim, sample_rate, fingerprint = "image", 3, None, {"family": "mean colour"}
    def to(self, device): return self
    def prepare(self, contents): return [np.asarray(p, dtype=np.float32).mean(axis=(0, 1)) / 255 for p in contents]
    def length(self, prepared): return 1
    def collate(self, prepared): return torch.from_numpy(np.stack(prepared))
    def encode(self, batch): return batch

class Seen(Colour):
    # Colour and shape of what is drawn; the shape by its area.
    dim, fingerprint = 7, {"family": "seen"}
    def prepare(self, contents): return [self.look(np.asarray(content)) for content in contents]
    def look(self, pixels):
        drawn = pixels[(pixels != 255).any(axis=2)]
        area = sum(len(drawn) > least for least in (310, 475, 650))  # bar, triangle, circle, square
        return np.concatenate([drawn[0] / 255 - 0.5, np.eye(4)[area]]).astype(np.float32)

class Said(Seen):
    # The same of what a caption says.
    modality, fingerprint = "text", {"family": "said"}
    def look(self, caption):
        _, colour, shape = str(caption).split()
        area = ["bar", "triangle", "circle", "square"].index(shape)
        return np.concatenate([np.array(ImageColor.getrgb(colour)) / 255 - 0.5, np.eye(4)[area]]).astype(np.float32)

def colour(): return Colour()
def seen(): return Seen()
def said(): return Said()
def nothing(): return object()
"""


def draw(path: Path, colour: str, shape: str, generator: np.random.Generator) -> None:
    picture = Image.new("RGB", (48, 48), "white")
    x, y = (int(v) for v in generator.integers(4, 16, size=2))
    box = (x, y, x + 26, y + 26)
    pen = ImageDraw.Draw(picture)
    if shape == "square":
        pen.rectangle(box, fill=colour)
    elif shape == "circle":
        pen.ellipse(box, fill=colour)
    elif shape == "bar":
        pen.rectangle((x, y + 9, x + 26, y + 17), fill=colour)
    else:
        pen.polygon([(x, y + 26), (x + 26, y + 26), (x + 13, y)], fill=colour)
    picture.save(path)
