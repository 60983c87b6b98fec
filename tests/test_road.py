"""What a newcomer types first, from pictures with captions to a page that searches them, ends well."""

import torch
from road import draw_pictures, walk
from tiny_run import save_models

FEW = ["optim.auto.epochs=2", "optim.auto.steps=4"]


def test_the_newcomers_road_can_be_walked(tmp_path):
    """In processes: it is what the commands say, and how they end, that counts."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save_models(tmp_path / "models")
    text = f"{{name: transformers_text, options: {{model: {tmp_path / 'models' / 'bert'}}}}}"
    image = "{name: hog, options: {size: 16, coarse: 4}}"
    pictures = tmp_path / "pictures"
    made = walk(tmp_path, pictures, draw_pictures(pictures), image, text, workers="0", steps=FEW, show=False)
    assert all(path.is_file() for path in made.values())
