# make demo: see TSAM learn; make test: run the tests. Both make .venv first if it is missing.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
# DALI for the CUDA of the driver; without one, any will do.
CUDA ?= $(if $(shell nvidia-smi 2>/dev/null | grep 'CUDA Version: 1[3-9]'),cuda13,cuda12)

.PHONY: demo bench bench-full bench-documents bench-gpu faults faults-short mutations docs test test-ci test-slow test-gpu lint format clean

demo: $(INSTALLED)
	$(BIN)/python tools/precompute_audio.py
	$(BIN)/python tools/demo.py

# DATA=folder of one's own videos; without it clips are made first.
CLIPS := $(if $(DATA),--data $(DATA))
SHORT := results/bench

bench: $(INSTALLED)
	$(BIN)/python -m benchmarks.loading.decode $(CLIPS) --clips 3 --segments 8 --rounds 3 --output $(SHORT)/decode.json
	$(BIN)/python -m benchmarks.training.end_to_end $(CLIPS) --clips 3 --segments 8 --batch_size 4 --rounds 1 --batches 2 \
		--repeats 4 --output $(SHORT)/end_to_end.json
	$(BIN)/python -m benchmarks.loading.audio $(CLIPS) --clips 3 --rounds 3 --output $(SHORT)/audio.json
	$(BIN)/python -m benchmarks.training.scaling $(CLIPS) --clips 3 --batch_size 4 --rounds 1 --batches 2 --repeats 4 \
		--processes 0 2 --batch_sizes 4 --prefetch 2 --steps 2 --output $(SHORT)/scaling.json
	$(BIN)/python -m benchmarks.model.shift --rounds 3 --output $(SHORT)/shift.json
	$(BIN)/python -m benchmarks.training.step --batch_size 2 --rounds 2 --segments 2 --output $(SHORT)/step.json
	$(BIN)/python -m benchmarks.training.overhead --arch resnet18 --rounds 3 --steps 4 --segments 4 \
		--output $(SHORT)/overhead.json
	$(BIN)/python -m benchmarks.model.live --rounds 2 --segments 4 --output $(SHORT)/live.json

bench-full: $(INSTALLED)
	$(BIN)/python -m benchmarks.loading.decode $(CLIPS)
	$(BIN)/python -m benchmarks.loading.copies $(CLIPS)
	$(BIN)/python -m benchmarks.loading.loader $(CLIPS)
	$(BIN)/python -m benchmarks.training.end_to_end $(CLIPS)
	$(BIN)/python -m benchmarks.loading.audio $(CLIPS)
	$(BIN)/python -m benchmarks.loading.pieces $(CLIPS)
	$(BIN)/python -m benchmarks.training.scaling $(CLIPS)
	$(BIN)/python -m benchmarks.loading.memory $(if $(DATA),--videos $(DATA))
	$(BIN)/python -m benchmarks.model.shift
	$(BIN)/python -m benchmarks.training.step
	$(BIN)/python -m benchmarks.training.backbones
	$(BIN)/python -m benchmarks.training.overhead
	$(BIN)/python -m benchmarks.model.live
	$(BIN)/python -m benchmarks.training.busy
	$(BIN)/python -m benchmarks.loading.startup
	$(BIN)/python -m benchmarks.training.demo
	$(MAKE) bench-documents

# The tables of README.md and docs/benchmarks.md, from the files of results.
bench-documents: $(INSTALLED)
	$(BIN)/python -m benchmarks.documents.tables

bench-gpu: $(INSTALLED)
	PYTHON=$(BIN)/python bash benchmarks/gpu.sh

faults: $(INSTALLED)
	$(BIN)/python -m benchmarks.reliability.faults

faults-short: $(INSTALLED)
	$(BIN)/python -m benchmarks.reliability.faults --short --output $(SHORT)/faults.json

# Changes what the fault tests guard in small ways, one after the other (hours; see setup.cfg), and names what no test notices.
mutations: $(INSTALLED)
	PYTHONPATH=$(CURDIR)/mutants $(BIN)/mutmut run
	$(BIN)/mutmut results

# The site, from docs/: open results/site/index.html.
docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict -f docs/site/mkdocs.yml

# A file's tests stay in one process: what they share is made once. A process that crashes ends them all: its other tests
# would be waited for.
TESTS = -m pytest -q -n 2 --dist loadfile --max-worker-restart 0

test: $(INSTALLED)
	$(BIN)/python $(TESTS) --no-loadscope-reorder

test-ci: $(INSTALLED)
	$(BIN)/python $(TESTS) -m ci

test-slow: $(INSTALLED)
	$(BIN)/python -m pytest -q -m slow

test-gpu: $(INSTALLED)
	$(BIN)/python -m pytest -q -m gpu

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv example results

# The environment variable, not the option -c: it also replaces a constraint that the machine's own settings name.
$(INSTALLED): setup.cfg pyproject.toml constraints.txt
	test -d .venv || $(PYTHON) -m venv .venv
	PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --quiet --editable ".[$(CUDA),test,dev,docs]"
	touch $(INSTALLED)
