# Two commands do all: `make demo` shows the product at work, `make test` passes the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
SECONDS_ := $(if $(filter command line,$(origin SECONDS)),$(SECONDS),)
KAFKA_HOME_ := $(or $(BAROMETER_KAFKA_HOME),$(or $(BAROMETER_SHARED),../shared)/kafka)
JAVA := openjdk-17-jre-headless
APT := postgresql chromium fonts-noto-cjk nginx
# Three processes on two cores: most integration tests wait for a broker or a database rather than for a processor.
PYTEST_OPTIONS ?= -n 3 --dist loadfile --durations 15

.PHONY: demo test test-kafka test-compose kafka serve-env test-env system java docs screenshots clean help

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

demo: serve-env  ## the whole product on a stream of our own; SECONDS=90 ends by itself and says whether it alerted rightly
	@$(BIN)/barometer demo $(if $(SECONDS_),--seconds $(SECONDS_),) $(DEMO_OPTIONS)

test: test-env system  ## everything that must pass: lint, types, unit, integration, browser, chaos
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest $(PYTEST_OPTIONS)

test-kafka: test-env system  ## all integration tests that need a broker, on Apache Kafka
	$(BIN)/pytest $(PYTEST_OPTIONS) --broker kafka tests/integration

test-compose: test-env java  ## what docker-compose.yml starts, in containers; needs root and Debian's docker.io and debootstrap
	$(BIN)/python -m tests.containers.engine
	$(BIN)/pytest tests/containers

kafka: serve-env java  ## Apache Kafka on 127.0.0.1:9092 until Ctrl-C; KAFKA_OPTIONS="--brokers 3 --secure --folder DIR"
	@$(BIN)/barometer broker --kafka $(KAFKA_OPTIONS)

serve-env: $(VENV)/.serve  ## the light install: worker on CPU, monitor, dashboard, demo

test-env: $(VENV)/.test  ## both installs: serving and training, and what the tests need

$(VENV)/bin/python:
	@echo "making $(VENV) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.11 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.serve: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "installing the serving packages (a minute or so) ..."
	@$(PIP) -e '.[broker]'
	@touch $@

$(VENV)/.test: $(VENV)/.serve
	@echo "installing the training and test packages (torch among them; some minutes) ..."
	@$(PIP) torch==2.13.0
	@$(PIP) -e '.[broker,train,test]'
	@touch $@

# Tests that need PostgreSQL, Chromium or Apache Kafka skip, and say so, where these cannot be installed.
system: java
	@if [ -x /usr/bin/chromium ] && [ -x /usr/sbin/nginx ] && ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && fc-list 2>/dev/null | grep -qi 'cjk'; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing $(APT) ..."; \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(APT); } >/dev/null 2>&1 \
		|| echo "could not install $(APT): tests that need them will skip"; \
	else echo "not all of $(APT) are here: tests that need them will skip"; fi

# Java is needed only where there is an Apache Kafka for it to run.
java:
	@if [ -d "$(KAFKA_HOME_)/libs" ] && ! { command -v java || [ -n "$$JAVA_HOME" ] || ls /usr/lib/jvm/*/bin/java; } >/dev/null 2>&1; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "installing $(JAVA) for Apache Kafka ..."; \
			{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(JAVA); } >/dev/null 2>&1 \
			|| echo "could not install $(JAVA): tests that need Apache Kafka will skip"; \
		else echo "no Java (Debian: $(JAVA)): tests that need Apache Kafka will skip"; fi; \
	fi

docs: $(VENV)/.docs  ## the documentation as a site, in build/docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build && echo "build/docs/index.html"  # --quiet would hide warnings from strict mode

$(VENV)/.docs: $(VENV)/.serve
	@$(PIP) -e '.[docs]'
	@touch $@

screenshots: test-env  ## the pictures of the README and docs, taken in headless Chromium
	$(BIN)/python -m tests.browser.screenshots

clean:  ## remove the environment and caches
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache
