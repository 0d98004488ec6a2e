# What a project of laketasks has as well: its Makefile includes this file, and so does the one beside it.
PYTHON ?= python3
RUN := .venv/bin/python

.DEFAULT_GOAL := help
.NOTPARALLEL:  # with -j two groups would be installed into one environment at once
.PHONY: help generate check

help:      ## this list
	@awk -F':[^#]*## ' '/^[a-z-]+:.*## /{printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
generate: .venv/run.stamp  ## write resources/*.job.yml from bundle/execution_table.yml
	@$(RUN) -m generator generate
check: .venv/run.stamp     ## fail when resources/ is not what generate would write
	@$(RUN) -m generator check

.venv/bin/python .venv-spark/bin/python .venv-oracles/bin/python .venv-autocdc/bin/python .venv-rivals/bin/python .venv-minilake/bin/python:
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "laketasks needs Python 3.11 or newer with the venv module; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || echo missing)." >&2; \
	  echo "Install one (Debian, Ubuntu: apt install python3-venv) or name it: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(@D:/bin=)
	@$@ -m pip install --quiet --disable-pip-version-check 'pip>=25.1'

# One stamp for each dependency group: made anew when the pins or the project change.
.venv/%.stamp: pyproject.toml constraints.txt | .venv/bin/python
	@echo "installing the pinned packages of group '$*' into .venv ..."
	@$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --group $* --editable .
	@touch $@
