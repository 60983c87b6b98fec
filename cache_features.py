"""Stage 1: run frozen encoders once over a data set and keep their latents.

    python cache_features.py configs/cache/glyphs.yaml [key=value …]

The same as `fusemix cache_features`; `--help` lists all settings.
"""

from fusemix.cli.run import run

if __name__ == "__main__":
    run("cache_features")
