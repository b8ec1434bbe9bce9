# `make lab` opens the course, `make test` checks it; both set up .venv when it is missing or older
# than pyproject.toml. Another Python: `make lab PYTHON=/path/to/python3`.

RUN := .venv/bin/python -m
# Compiled once and kept, whatever the caller has set: else every kernel compiles PyTorch anew
unexport PYTHONDONTWRITEBYTECODE
MESSAGE := This course needs Python 3.10 or newer with its venv module (on Debian and Ubuntu: \
apt install python3-venv). Install one, or name it: make lab PYTHON=/path/to/python3
# JupyterLab shall not ask a student at the first start whether to fetch news. Slides need all cells
# drawn (with windowing a show of a notebook that was not run hangs the browser), and do not fly.
SETTINGS := {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}, \
"@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"}, \
"sliveshow:plugin": {"default_transition": "none"}}
SUITABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))

# What nbgrader is told to do happens in the course directory
NBGRADER := cd notebooks/homework && ../../$(RUN) nbgrader

# Photos larger than 10 MB, the limit of a server by itself, reach the notebook too
JUPYTERLAB := $(RUN) jupyterlab --ServerApp.root_dir=. \
$(if $(filter 0,$(shell id -u)),--allow-root) \
--ServerApp.tornado_settings='{"websocket_max_message_size": 100000000}'

.PHONY: lab present test teach release notebooks bench recipe-check clean clean-cache

lab: .venv/lab-ready
	$(JUPYTERLAB) --LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb

present: .venv/present-ready
	$(JUPYTERLAB) --LabApp.default_url=/lab/tree/notebooks

# Two processes of one thread each; what they compute they share in one cache
test: .venv/test-ready
	OMP_NUM_THREADS=1 $(RUN) pytest --numprocesses=2 --dist=loadscope --no-loadscope-reorder

teach: .venv/teach-ready
	@echo "nbgrader is ready. How to hand out, collect and grade: notebooks/homework/README.md"

release: .venv/teach-ready
	$(NBGRADER) generate_assignment "*" --no-db --force

notebooks: .venv/test-ready
	$(RUN) tests.execute notebooks/*.ipynb

# First what takes too long for `make test`: the lectures in a browser, nbgrader, resumed training
bench: .venv/test-ready
	PRESSES=3 $(RUN) pytest -m slow
	for script in tests/bench/*.py; do $(RUN) "tests.bench.$$(basename "$$script" .py)" || exit 1; done

recipe-check: .venv/recipe-ready
	$(RUN) data.recipe.check

clean:
	rm -rf .venv build *.egg-info .pytest_cache .ruff_cache .hypothesis

clean-cache: .venv/lab-ready
	.venv/bin/python -c "from lecture_utils import store; store.clear()"

.venv/lab-ready: EXTRAS :=
.venv/present-ready: EXTRAS := [present]
.venv/test-ready: EXTRAS := [test]
.venv/teach-ready: EXTRAS := [teach]
.venv/recipe-ready: EXTRAS := [recipe]
.venv/%-ready: pyproject.toml
	@set -e; for python in "$(PYTHON)" python3 python3.13 python3.12 python3.11 python3.10; do \
	  if "$$python" -c "$(SUITABLE)" 2>/dev/null; then found="$$python"; break; fi; \
	  if [ -n "$(PYTHON)" ]; then break; fi; \
	done; \
	if [ -z "$$found" ]; then echo "$(MESSAGE)" >&2; exit 1; fi; \
	if ! .venv/bin/python -c "$(SUITABLE)" 2>/dev/null; then "$$found" -m venv --clear .venv; fi
# A new pip, and --no-compile (what is imported is compiled then): a minute less each
	$(RUN) pip install --quiet --disable-pip-version-check --upgrade pip
	$(RUN) pip install --quiet --no-compile --disable-pip-version-check -e ".$(EXTRAS)"
	@.venv/bin/python -c "from lecture_utils import check; print(check.python())"
	@mkdir -p .venv/share/jupyter/lab/settings
	@echo '$(SETTINGS)' >.venv/share/jupyter/lab/settings/overrides.json
	@touch $@
