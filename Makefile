# make demo    the three stages on the built-in data set, and an index to search
# make test    the tests
# make check   format, lint, types, imports
# make install the environment alone, in .venv/; the others call it themselves

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CHECKED := fusemix tests benchmarks cache_features.py train.py eval_retrieval.py

.PHONY: install test demo check format lock clean

install: $(VENV)/installed

# One environment of exact versions, which the tests passed with.
$(VENV)/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
		{ echo "fusemix needs Python 3.11 or later; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

test: install
	$(BIN)/python -m pytest -q

demo: install
	$(BIN)/python cache_features.py configs/cache/glyphs.yaml
	$(BIN)/python train.py configs/train/glyphs.yaml
	$(BIN)/python eval_retrieval.py configs/eval/glyphs.yaml
	$(BIN)/fusemix index --model runs/glyphs --latents latents/glyphs --out indexes/glyphs
	@echo
	@echo 'Now search it in the browser:  $(BIN)/fusemix serve --index indexes/glyphs'
	@echo 'and type: arrow pointing left with a hook'

check: install
	$(BIN)/ruff format --check $(CHECKED)
	$(BIN)/ruff check $(CHECKED)
	$(BIN)/basedpyright
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff format $(CHECKED)
	$(BIN)/ruff check --fix $(CHECKED)

# Newest versions that fit pyproject.toml, for all platforms.
lock:
	uv pip compile pyproject.toml --universal --python-version 3.11 --all-extras --upgrade \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links --output-file requirements.lock

clean:
	rm -rf $(VENV) latents runs reports indexes
