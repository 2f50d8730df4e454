# Two commands: `make demo` and `make test`. Each makes .venv when it is not there; a second run installs nothing.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
PLUGINS := $(sort $(wildcard plugins/*))
PROJECTS := pyproject.toml $(PLUGINS:%=%/pyproject.toml)

.PHONY: demo test
.DEFAULT_GOAL := demo

demo: .venv/.installed
	.venv/bin/affectzoo demo --out out/demo

test: .venv/.installed
	.venv/bin/python -m pytest -m "not forks"
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -m forks

.venv/.installed: $(PROJECTS)
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -e ".[dev]" $(PLUGINS:%=-e ./%)
	touch $@
