"""Pictures as cameras write them, and a caption file with columns of its own."""

import json

from PIL import ExifTags, Image

CAMERAS = [("FUJIFILM", "X100"), ("Canon", "Canon EOS 5D")]
NAMES = ["FUJIFILM X100", "Canon EOS 5D"]


def exif(taken=None, make=None, model=None):
    said = Image.Exif()
    for tag, value in ((ExifTags.Base.Make, make), (ExifTags.Base.Model, model)):
        if value is not None:
            said[tag] = value
    if taken is not None:
        said.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = taken
    return said


def taken_photos(folder, files, kinds=("jpg", "png", "webp")):
    """Photographs in folders of their years; the camera is that of the number, modulo 2, and a fifth says nothing.

    Returns:
        Of each its path below the folder, its year and its camera.
    """
    told = []
    for number, path in enumerate(files):
        year, place = 2020 + number % 4, f"{2020 + number % 4}/{'sea' if number % 3 else 'hills'}"
        (folder / place).mkdir(parents=True, exist_ok=True)
        name = f"{place}/{number}.{kinds[number % len(kinds)]}"
        says = number % 5 != 4
        how = exif(f"{year}:0{1 + number % 9}:15 10:20:30", *CAMERAS[number % 2]) if says else exif()
        Image.open(path).convert("RGB").save(folder / name, exif=how)
        told.append((name, year if says else None, NAMES[number % 2] if says else None))
    return told


def described(folder, files):
    """The same with captions, authors and ratings, as JSONL: `image_captions` reads it."""
    told = taken_photos(folder, files)
    lines = [
        {
            "file": name,
            "caption": f"shape {n}",
            "author": ["Ada", "Grace"][n % 2],
            "stars": n % 5,
            "is sharp": n % 3 == 0,
        }
        for n, (name, _, _) in enumerate(told)
    ]
    (folder / "captions.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return told, lines


def _own(number):
    return {"author": ["Ada", "Grace"][number % 2], "stars": number % 5, "is sharp": number % 3 == 0}
