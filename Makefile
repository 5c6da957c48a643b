# Two commands do everything: `make demo` and `make test`. Both set up .venv first.
PYTHON ?= python3
BIN = .venv/bin

.PHONY: demo test audit node c-header clean

demo: .venv/ready
	$(BIN)/lab demo

# the tests start lab dozens of times, and each start would compile all of lab where Python may not keep what it compiled;
# a file's tests share what they make, and the files begin in pytest's order, so that the longest do not come last
test: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n logical --dist loadfile --no-loadscope-reorder

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[train,dev]'
	touch $@

# for the tests of docs/examples/predict.mjs and of exporter/web; the variable keeps onnxruntime-node from fetching its CUDA libraries
node:
	ONNXRUNTIME_NODE_INSTALL=skip npm install --prefix docs/examples --no-package-lock --no-audit --no-fund

# for the test of docs/examples/predict.c, where no package of the system has the header: this one of npm's does
HEADER = Plugins/iOS~/onnxruntime.xcframework/ios-arm64/onnxruntime.framework/Headers
c-header:
	mkdir -p docs/examples/include
	npm pack --silent --pack-destination docs/examples/include com.github.asus4.onnxruntime@0.4.9
	tar xzf docs/examples/include/*.tgz -C docs/examples/include --strip-components=7 'package/$(HEADER)'
	rm docs/examples/include/*.tgz

# --strict: a version that the database does not know is an error, not a pass
audit: .venv/ready
	$(PYTHON) -m venv build/audit
	build/audit/bin/python -m pip install --quiet pip-audit==2.10.1
	$(BIN)/python -m pip freeze --exclude-editable > build/audit/installed.txt
	build/audit/bin/pip-audit --strict --no-deps --disable-pip --requirement build/audit/installed.txt

clean:
	rm -rf docs/examples/node_modules docs/examples/include .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache
