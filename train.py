"""Stage 2: train small adapters on cached latents.

    python train.py configs/train/glyphs.yaml [key=value …]

The same as `fusemix train`; `--help` lists all settings.
"""

from fusemix.cli.run import run

if __name__ == "__main__":
    run("train")
