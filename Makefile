# make demo    the three stages on the built-in data set, and an index to search
# make demo-sound    the same with the characters' names spoken, so that a sound finds a character
# make test    the tests
# make quick   those of them that take a minute together
# make check   format, lint, types, imports, links of the documentation
# make docs    the documentation, in site/
# make install the environment alone, in .venv/; the others call it themselves

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CHECKED := fusemix tests benchmarks tools setup.py cache_features.py train.py eval_retrieval.py
PROSE := docs README.md CONTRIBUTING.md CHANGELOG.md

.PHONY: install test quick demo demo-sound check docs format lock clean

install: $(VENV)/installed

# One environment of exact versions, which the tests passed with. By uv with pip's settings, or else by pip.
$(VENV)/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
		{ echo "fusemix needs Python 3.11 or later; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet "$$(grep '^uv==' requirements.lock)" || echo "uv is not available; pip installs all"
	$(BIN)/python tools/packages.py install --requirement requirements.lock
	$(BIN)/python tools/packages.py install --no-deps --no-build-isolation --editable .
	@touch $@

# Bytecode is kept, since every process of the tests reads it.
test quick: export PYTHONDONTWRITEBYTECODE =

test: install
	$(BIN)/python -m pytest -q -n auto

# Within a minute: what neither starts processes or a browser nor trains for seconds.
quick: install
	$(BIN)/python -m pytest -q -n auto --quick

demo: install
	$(BIN)/python cache_features.py configs/cache/glyphs.yaml
	$(BIN)/python train.py configs/train/glyphs.yaml
	$(BIN)/python eval_retrieval.py configs/eval/glyphs.yaml
	$(BIN)/fusemix index --model runs/glyphs --latents latents/glyphs --out indexes/glyphs
	@echo
	@echo 'Now search it in the browser:  $(BIN)/fusemix serve --index indexes/glyphs'
	@echo 'and type: arrow pointing left with a hook'

demo-sound: install
	$(BIN)/python cache_features.py configs/cache/glyphs.yaml
	$(BIN)/python cache_features.py configs/cache/spoken_glyphs.yaml
	$(BIN)/python train.py configs/train/spoken_glyphs.yaml
	$(BIN)/python eval_retrieval.py configs/eval/spoken_glyphs.yaml
	$(BIN)/fusemix index --model runs/spoken_glyphs --latents latents/glyphs --out indexes/spoken_glyphs
	$(BIN)/python -c 'import soundfile; from fusemix.datasets.espeak import speak; \
		soundfile.write("indexes/spoken_glyphs.wav", *speak("white smiling face", "en-us+f2", 175))'
	$(BIN)/fusemix search --audio indexes/spoken_glyphs.wav --modality image --index indexes/spoken_glyphs
	@echo
	@echo 'Now search it by sounds of your own, in the browser:  $(BIN)/fusemix serve --index indexes/spoken_glyphs'

check: install docs
	$(BIN)/ruff format --check $(CHECKED)
	$(BIN)/ruff check $(CHECKED)
	$(BIN)/basedpyright
	$(BIN)/lint-imports
	$(BIN)/mdformat --check $(PROSE)

docs: install
	$(BIN)/python -m zensical build --clean --strict

format: install
	$(BIN)/ruff format $(CHECKED)
	$(BIN)/ruff check --fix $(CHECKED)
	$(BIN)/mdformat $(PROSE)

# Newest versions that fit pyproject.toml, for all platforms.
lock: install
	$(BIN)/python tools/packages.py compile pyproject.toml --universal --python-version 3.11 --all-extras --upgrade \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links --output-file requirements.lock

clean:
	rm -rf $(VENV) latents runs reports indexes build dist site
