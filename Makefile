# make demo        install and run the whole pipeline on a small simulated Plateau
# make demo_fetch  the same from local services over the network: fetching to be watched (minutes)
# make test        install and run all tests
# make install     only make the environment
# make bench       ratios to plain references, memory of a month of the Plateau, of training, of a granule, plans (minutes)
# make dev         install what development needs, and the commit hooks
# make lint        only the style checks
# make docs        write the generated documents anew: config/schema.json, the table of keys, docs/reruns.md
# make lock        renew envs/requirements.lock from what pyproject.toml asks for
# make clean       remove what the pipeline made on its way; archive/, results/ and the environment stay
# make help        this list

PYTHON ?= python3
# (nproc answers with OMP_NUM_THREADS where that is set, which is about threads of one job)
CORES ?= $(shell env -u OMP_NUM_THREADS nproc 2>/dev/null || echo 2)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

# No window system is needed, and one thread a job unless its rule asks for more.
export MPLBACKEND := Agg
export OMP_NUM_THREADS := 1

.DEFAULT_GOAL := help
.PHONY: help install demo demo_fetch test bench dev lint docs lock clean

help:
	@sed -n 's/^# make/make/p' Makefile

install: $(VENV)/demo.stamp

demo: $(VENV)/demo.stamp
	$(BIN)/snakemake --cores $(CORES) --configfile config/demo.yaml
	@printf '\n%s\n' 'The demo is complete:'
	@for path in results/demo/product results/demo/report.html results/demo/scores.csv results/demo/scores.json; do \
	    test -e $$path || { echo "$$path is missing"; exit 1; }; done
	@printf '  %-11s%s\n' product "$(CURDIR)/results/demo/product/" report "$(CURDIR)/results/demo/report.html" \
	    scores "$(CURDIR)/results/demo/scores.csv (and .json)"

demo_fetch: $(VENV)/test.stamp
	$(BIN)/python -m tests.servers --configfile config/demo_fetch.yaml -- \
	    snakemake --cores $(CORES) --configfile config/demo_fetch.yaml
	@printf '\n%s\n' 'The demo of fetching is complete:'
	@printf '  %-11s%s\n' archive "$(CURDIR)/build/demo_fetch/archive/" manifests "$(CURDIR)/build/demo_fetch/manifests/" \
	    product "$(CURDIR)/results/demo_fetch/product/" logs "$(CURDIR)/logs/fetch_*/"

test: $(VENV)/test.stamp
	$(BIN)/python -m pytest -n $(CORES) --dist loadscope $(ARGS)

bench: $(VENV)/demo.stamp
	$(BIN)/python benchmarks/operators.py
	$(BIN)/python benchmarks/downscale_month.py
	$(BIN)/python benchmarks/train_plateau.py
	$(BIN)/python benchmarks/fetch_granule.py
	$(BIN)/python benchmarks/plan_scale.py

dev: $(VENV)/dev.stamp
	$(BIN)/pre-commit install

lint: $(VENV)/test.stamp
	$(BIN)/python -m pytest tests/architecture/test_style.py

docs: $(VENV)/test.stamp
	$(BIN)/python -m pscnet.config config
	$(BIN)/python -m tests.workflow.reruns

lock: pyproject.toml
	rm -rf $(VENV)/lock && $(PYTHON) -m venv $(VENV)/lock
	$(VENV)/lock/bin/python -m pip --disable-pip-version-check install '.[test]'
	{ sed -n '/^#/p' envs/requirements.lock; $(VENV)/lock/bin/python -m pip freeze --exclude pscnet | sed 's/+cpu//'; } \
	    > envs/requirements.lock.new
	mv envs/requirements.lock.new envs/requirements.lock

clean:
	rm -rf build logs runtimes .snakemake
	find src workflow tests -name __pycache__ -prune -exec rm -rf {} +

# One environment; what was installed last for each purpose is remembered by a stamp.
$(VENV)/venv.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "Python 3.11 or newer is needed; '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo not there)." >&2; \
	    echo "Name another one: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || { \
	    echo "The venv module of '$(PYTHON)' does not work (on Debian: apt install python3-venv)." >&2; \
	    rm -rf $(VENV); exit 1; }
	@touch $@

EXTRA_demo :=
EXTRA_test := [test]
EXTRA_dev := [dev]

$(VENV)/%.stamp: envs/requirements.lock pyproject.toml | $(VENV)/venv.stamp
	@echo "Installing into $(VENV)/ (the first time takes a few minutes) ..."
	@$(PIP) install --quiet --constraint envs/requirements.lock --editable '.$(EXTRA_$*)'
	@touch $@
