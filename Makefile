# Two commands do everything: `make demo` and `make test`. Both set up .venv first.
PYTHON ?= python3
BIN = .venv/bin

.PHONY: demo test node clean

demo: .venv/ready
	$(BIN)/lab demo

test: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n logical

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[train,dev]'
	touch $@

# for the test of docs/examples/predict.mjs; the variable keeps onnxruntime-node from fetching its CUDA libraries
node:
	ONNXRUNTIME_NODE_INSTALL=skip npm install --prefix docs/examples --no-package-lock --no-audit --no-fund

clean:
	rm -rf docs/examples/node_modules .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache
