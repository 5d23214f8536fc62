# make demo   see it work: install, then segment the bundled recording
# make test   install the developer tools and run the tests
# make check  formatting, lint, types, import rules
#
# Two Debian packages that pip cannot bring: libusb-1.0-0 (RealSense cameras and their files) and chromium (tests of the
# review page): sudo apt install libusb-1.0-0 chromium. Tests that need them are skipped where they are missing.
#
# Each target creates .venv when it is missing and installs the locked versions of constraints.txt.
# PYTHON=python3.12      another interpreter, at least 3.11
# PIP_ARGS=...           more options for pip; without an NVIDIA GPU this saves gigabytes of downloads:
#                        PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"
# PYTEST_ARGS=...        more options for pytest, such as PYTEST_ARGS="-k camera -x"

PYTHON ?= python3
PIP_ARGS ?=
PYTEST_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
INSTALL := PIP_BUILD_CONSTRAINT=constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 \
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -c constraints.txt

.PHONY: demo test check format clean
.DEFAULT_GOAL := demo

demo: $(VENV)/.installed
	$(BIN)/graspcut demo

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist

# Stamps: installing again happens when the project's requirements or the lock change, and after a broken installation.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing graspcut and its locked dependencies into $(VENV)."
	$(INSTALL) -e '.[openvino]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing graspcut, its locked dependencies and the developer tools into $(VENV); the first time this downloads torch."
	$(INSTALL) -e '.[app,dev,import,instances,matting,mesh,openvino,pose,realsense,scale,synth,train,view]'
	@touch $@ $(VENV)/.installed

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { \
		echo "No '$(PYTHON)' here. On Debian or Ubuntu: sudo apt install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "graspcut needs Python 3.11 or newer, and '$(PYTHON)' is $$($(PYTHON) --version 2>&1)."; \
		echo "Install a newer one (Debian 12 and Ubuntu 24.04 have it: sudo apt install python3 python3-venv)"; \
		echo "and name it if it is not the default: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "'$(PYTHON)' cannot create virtual environments: its venv module is missing."; \
		echo "On Debian or Ubuntu: sudo apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
