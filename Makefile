# Each target is a line or two; what needs more is a script in scripts/ that can be read and run by itself.
.PHONY: demo install test test-long check fix bench translations
MAKEFLAGS += --no-print-directory

demo: ; @scripts/install.sh run >&2 && exec .venv/bin/portillon-sim demo $(ARGS)
install: ; @scripts/install.sh run
test: ; @scripts/install.sh dev && .venv/bin/python scripts/run_tests.py
test-long: ; @scripts/install.sh dev && .venv/bin/python scripts/run_tests.py --long
check: ; @scripts/install.sh dev && .venv/bin/python scripts/run_tests.py --check
fix: ; @scripts/install.sh dev && .venv/bin/ruff check --fix .
bench: ; @scripts/install.sh dev && .venv/bin/python bench/run.py $(ARGS)
translations: ; @scripts/install.sh dev && .venv/bin/python scripts/translations.py
