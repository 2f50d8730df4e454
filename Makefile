# Two commands: `make demo` and `make test`. Each makes .venv when it is not there; a second run installs nothing.
# After a card was changed, `make cards` brings README's table of models and the statement in every card up to date.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
PLUGINS := $(sort $(wildcard plugins/*))
PROJECTS := pyproject.toml $(PLUGINS:%=%/pyproject.toml)

.PHONY: demo test cards
.DEFAULT_GOAL := demo

demo: .venv/.installed
	.venv/bin/affectzoo demo --out out/demo

test: .venv/.installed
	.venv/bin/python -m pytest -m "not forks"
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -m forks

cards: .venv/.installed
	.venv/bin/python -m affectzoo.cards

.venv/.installed: $(PROJECTS)
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -e ".[dev]" $(PLUGINS:%=-e ./%)
	touch $@
