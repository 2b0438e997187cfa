# Four commands do everything, set-up included:
#   make demo    trains a workload with two algorithms, scores them and prints the comparison
#   make test    runs every test that needs no GPU
#   make site    builds the site of the leaderboards that ship, in site/
#   make docs    builds the documentation's site from docs/, in docs_site/
#   make quick   runs those that need neither a framework nor a process of their own: for while you edit
# FRAMEWORK=<name>, jax or pytorch, chooses what the demo runs on; only that framework is installed for it.

PYTHON ?= python3
FRAMEWORK ?= jax
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest --numprocesses=logical --maxprocesses=4 --dist=worksteal
# The extra of FRAMEWORK and those of all frameworks, from where they are described; needs no package.
EXTRAS := $(shell $(PYTHON) -c 'from algoperf import frameworks as f; \
  print(f.get("$(FRAMEWORK)").extra, ",".join(one.extra for one in f.FRAMEWORKS))')
ifeq ($(EXTRAS),)
$(error FRAMEWORK=$(FRAMEWORK) is none of those in algoperf/frameworks.py, or $(PYTHON) is older than 3.11)
endif
EXTRA := $(word 1,$(EXTRAS))
EVERYTHING := $(word 2,$(EXTRAS)),data,plot,site,slurm,docs,tensorboard,dev
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
DEMO_ALGORITHMS := nadamw nesterov

.PHONY: demo site docs test quick lint bench tricks clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# A stamp per set of extras: installing again is cheap, but not free.
$(VENV)/.installed-%: setup.cfg constraints.txt | $(BIN)/python
	@echo "Installing algoperf[$*] into $(VENV) ..."
	$(PIP) --editable '.[$*]'
	@touch $@

demo: $(VENV)/.installed-$(EXTRA)
	@for algorithm in $(DEMO_ALGORITHMS); do \
	  $(BIN)/python submission_runner.py --workload=digits --suite=demo --framework=$(FRAMEWORK) \
	    --submission=reference_algorithms/$$algorithm --num_tuning_trials=2 \
	    --experiment_dir=demo_results/$(FRAMEWORK) --overwrite || exit 1; \
	done
	$(BIN)/python score_submissions.py --suite=demo --ruleset=external demo_results/$(FRAMEWORK)

# No framework is needed. RESULTS=<folders and archives> puts one's own beside what ships.
site: $(VENV)/.installed-site
	$(BIN)/python -m scoring.site --output=site $(RESULTS)

# Sources are read, not imported: no framework is needed.
docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

test: $(VENV)/.installed-$(EVERYTHING)
	$(PYTEST)

# What it lists as slowest wants `@pytest.mark.slow`.
quick: $(VENV)/.installed-$(EVERYTHING)
	$(PYTEST) --quick --durations=10 --durations-min=2

lint: $(VENV)/.installed-$(EVERYTHING)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/biome ci scoring/page/assets

# Two runs of each trick, about an hour and a half on a free machine; started again, it goes on where it stopped.
tricks: $(VENV)/.installed-$(EVERYTHING)
	$(BIN)/python -m benchmarks.tricks --results=tricks_results

bench: $(VENV)/.installed-$(EVERYTHING)
	$(BIN)/python benchmarks/run_all.py

clean:
	rm -rf $(VENV) demo_results site docs_site tricks_results
