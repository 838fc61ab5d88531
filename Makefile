# make demo: see TSAM learn; make test: run the tests. Both make .venv first if it is missing.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: demo ablation bench bench-full faults test test-slow test-gpu lint format clean

demo: $(INSTALLED)
	$(BIN)/python tools/precompute_audio.py
	$(BIN)/python -m tsam_dali.train

ablation: $(INSTALLED)
	$(BIN)/python tools/precompute_audio.py
	$(BIN)/python tools/ablation.py --output benchmarks/results/ablation.json

bench: $(INSTALLED)
	$(BIN)/python -m benchmarks.decode --rounds 3 --clips 3 --segments 8 --output results/bench/decode.json
	$(BIN)/python -m benchmarks.loader --rounds 3 --clips 3 --output results/bench/loader.json
	$(BIN)/python -m benchmarks.shift --rounds 3 --output results/bench/shift.json
	$(BIN)/python -m benchmarks.step --rounds 3 --segments 4 --output results/bench/step.json

bench-full: $(INSTALLED)
	$(BIN)/python -m benchmarks.decode
	$(BIN)/python -m benchmarks.copies
	$(BIN)/python -m benchmarks.loader
	$(BIN)/python -m benchmarks.memory
	$(BIN)/python -m benchmarks.shift
	$(BIN)/python -m benchmarks.step

faults: $(INSTALLED)
	$(BIN)/python -m benchmarks.faults

test: $(INSTALLED)
	$(BIN)/python -m pytest -q -n 2

test-slow: $(INSTALLED)
	$(BIN)/python -m pytest -q -m slow

test-gpu: $(INSTALLED)
	$(BIN)/python -m pytest -q -m gpu

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv example results

# The environment variable, not the option -c: it also replaces a constraint that the machine's own settings name.
$(INSTALLED): setup.cfg pyproject.toml constraints.txt
	test -d .venv || $(PYTHON) -m venv .venv
	PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --quiet --editable ".[cuda12,test,dev]"
	touch $(INSTALLED)
