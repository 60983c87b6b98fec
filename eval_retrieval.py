"""Stage 3: measure retrieval with a trained run on a latent set.

    python eval_retrieval.py configs/eval/glyphs.yaml [key=value …]

The same as `fusemix eval_retrieval`; `--help` lists all settings.
"""

from fusemix.cli.run import run

if __name__ == "__main__":
    run("eval_retrieval")
