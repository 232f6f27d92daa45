# The entry point: `make` lists the targets. It needs Python >= 3.11, make and git.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO_READY := $(VENV)/.ready-demo
# The packages of the operator's image alone: further ones are imported if they are there.
OPERATOR_READY := .cache/operator/.ready
# The server that uploads are compared with.
TUSD := .cache/bin/tusd

# How images are built and loaded into the cluster; override both if there is no Docker or kind.
IMAGE_BUILD ?= docker build --quiet
IMAGE_FILE_FLAG ?= -f
IMAGE_TAG_FLAG ?= -t
IMAGE_LOAD ?= kind load docker-image --name $(KIND_CLUSTER)
KIND_CLUSTER ?= healthingest
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
SERVICE_IMAGE ?= healthingest-service:$(VERSION)
OPERATOR_IMAGE ?= healthingest-operator:$(VERSION)
DOCKER ?= docker
REGISTRY ?=
PUSH ?= # 1: push to REGISTRY
TAG ?=
COMPOSE ?= docker compose
COMPOSE_DOWN ?=
export SERVICE_IMAGE
ONCE ?=
NO_INSTALL ?= # 1: install nothing with apt-get
export NO_INSTALL
SHORT ?=
SEED ?=
TESTS ?= tests
PROCESSES ?= auto
PARALLEL := --numprocesses $(PROCESSES) --durations 20

# The tests start Python some thousand times: without cached bytecode each start compiles all modules.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-long test-and-faults faults check fmt lint types arch docs diagrams unit simulate servers faults-folder faults-devices generated goldens crds settings e2e images images-live up down locks changelog clean \
  compose-secrets compose-up compose-demo compose-down release-check release-images chart release-chart release-artifacts

help: ## print this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Use
demo: $(DEMO_READY) ## run the service on this machine and upload a sample; Ctrl-C ends it (ONCE=1: end at once, exit 0 or 1)
	@$(BIN)/python examples/demo.py $(if $(ONCE),--once)

test: setup servers check unit ## all checks and all tests that need no cluster, with private servers

test-and-faults: ## test, then the short faults: what must pass before a change is merged, without a cluster
	@env -u KUBECONFIG $(MAKE) --jobs=1 test
	@env -u KUBECONFIG $(MAKE) --jobs=1 faults SHORT=1

faults: setup servers ## test the promises of an upload and of an erasure with faults of all processes and servers (SHORT=1: minutes; SEED=)
	@PYTHONPATH=tests $(BIN)/python tests/faults/run.py $(if $(SHORT),--short) $(if $(SEED),--seed $(SEED))
	@PYTHONPATH=tests $(BIN)/python tests/faults/erase.py $(if $(SHORT),--short) $(if $(SEED),--seed $(SEED))

faults-consumers: setup servers ## kill consumers at random while they process uploads (COUNT=10000 SEED=)
	@PYTHONPATH=tests $(BIN)/python tests/faults/consume.py --count $(or $(COUNT),10000) $(if $(SEED),--seed $(SEED))

faults-folder: setup servers ## upload a folder of 1,000 files by a command that is killed, over cut connections (COUNT=1000 SEED= UPLOADS=60/minute REQUESTS=60/minute)
	@PYTHONPATH=tests $(BIN)/python tests/faults/folder.py --count $(or $(COUNT),1000) $(if $(SEED),--seed $(SEED)) $(if $(UPLOADS),--uploads $(UPLOADS)) $(if $(REQUESTS),--requests $(REQUESTS))

faults-devices: setup servers ## upload from 1,000 devices while API processes are killed (COUNT=1000 SEED=)
	@PYTHONPATH=tests $(BIN)/python tests/faults/devices.py --count $(or $(COUNT),1000) $(if $(SEED),--seed $(SEED))

bench: setup servers $(OPERATOR_READY) $(TUSD) ## run all benchmarks side by side (QUICK=1: short; ONLY='gate small'; STORE=1: into the documents)
	PYTHONPATH=tests:bench $(BIN)/python -m series.run $(if $(QUICK),--quick) $(if $(STORE),--store) $(if $(ONLY),--only $(ONLY))

benchmarks-page: setup ## generate the page of the benchmarks, and its pictures, from the stored results
	PYTHONPATH=bench $(BIN)/python -m benchmarks.write_page

prove: setup servers $(TUSD) ## measure every claim of the documents in its short form, in 20 minutes (SEED= ONLY='faults gate')
	@PYTHONPATH=tests:bench $(BIN)/python -m prove.run $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY))

e2e: setup images images-live ## test everything on the cluster of $KUBECONFIG, with a sample of the faults (SEED=; LONG=1: all faults)
	SERVICE_IMAGE='$(SERVICE_IMAGE)' OPERATOR_IMAGE='$(OPERATOR_IMAGE)' $(BIN)/pytest -c e2e/pytest.ini -p no:randomly e2e

bench-gate: setup ## measure the gate beside fastavro and Apache avro, in one run
	PYTHONPATH=tests $(BIN)/python bench/gate.py

bench-upload: setup servers $(TUSD) ## measure uploads end to end beside tusd, its hook and a plain service (QUICK=1; HUGE=1: 5 GiB with 256 MiB of memory)
	PYTHONPATH=tests $(BIN)/python bench/upload.py $(if $(QUICK),--quick) $(if $(HUGE),--huge)

bench-http: setup ## measure attacks on the HTTP port: memory of the service, waiting time of another client
	PYTHONPATH=tests $(BIN)/python bench/http_attacks.py

bench-outage: setup servers ## measure a broker outage: uploads, readiness, how fast the backlog follows (MINUTES=10)
	PYTHONPATH=tests $(BIN)/python bench/outage.py --minutes $(or $(MINUTES),10)

bench-logins: setup ## measure small uploads with and without a flood of logins (PER_SECOND=200)
	PYTHONPATH=tests $(BIN)/python bench/logins.py --per-second $(or $(PER_SECOND),200)

bench-operator: setup servers $(OPERATOR_READY) ## measure one operator with many HealthIngests: memory, processor at rest, cold start (COUNT=1000 MINUTES=10)
	PYTHONPATH=tests $(BIN)/python bench/operator_scale.py --python $(dir $(OPERATOR_READY))bin/python --count $(or $(COUNT),1000) --minutes $(or $(MINUTES),10)

bench-revocations: setup servers ## measure how soon another process refuses a device token that was revoked (COUNT=20)
	PYTHONPATH=tests $(BIN)/python bench/revocations.py --count $(or $(COUNT),20)

bench-enumeration: setup servers ## measure whether the time of an answer tells that an id exists (COUNT=200)
	PYTHONPATH=tests $(BIN)/python bench/enumeration.py --count $(or $(COUNT),200)

bench-dead-letters: setup servers ## measure how long dead letters take to be shown, published again and settled (COUNT=10000)
	PYTHONPATH=tests $(BIN)/python bench/dead_letters.py --letters $(or $(COUNT),10000)

bench-put: setup servers ## measure the PUT of an object beside aiobotocore (ROUNDS=10 COUNT=300)
	PYTHONPATH=tests $(BIN)/python bench/put.py --rounds $(or $(ROUNDS),10) --count $(or $(COUNT),300)

bench-rebuild: setup servers ## measure the rebuild of the database from the bucket (ROWS=100000)
	PYTHONPATH=tests $(BIN)/python bench/rebuild.py --rows $(or $(ROWS),100000)

bench-audit: setup servers ## measure how fast the audit log is chained and verified (COUNT=1000000)
	PYTHONPATH=tests $(BIN)/python bench/audit.py --count $(or $(COUNT),1000000)

bench-study-cost: setup servers ## measure what study, subject, consent and audit log cost an upload, beside a commit without them (BEFORE=355c945 ROUNDS=20)
	PYTHONPATH=tests $(BIN)/python bench/study_cost.py --rounds $(or $(ROUNDS),20) $(if $(BEFORE),--before $(BEFORE))

bench-relay: setup servers ## measure the processor time of the relay for a message, beside an earlier commit (BEFORE=b10acb5 ROUNDS=5)
	PYTHONPATH=tests $(BIN)/python bench/relay.py --rounds $(or $(ROUNDS),5) $(if $(BEFORE),--before $(BEFORE))

bench-processes: setup servers ## measure two API processes beside one, each with a share of a core (ROUNDS=8 SHARE=0.3)
	PYTHONPATH=tests $(BIN)/python bench/api_processes.py $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SHARE),--share $(SHARE))

bench-limiter: setup servers ## measure the processor time of counting a request in Redis, beside an earlier commit (BEFORE=b10acb5 ROUNDS=5)
	PYTHONPATH=tests $(BIN)/python bench/limiter.py --rounds $(or $(ROUNDS),5) $(if $(BEFORE),--before $(BEFORE))

bench-growth: setup servers ## measure the bytes of a row in each table (ROWS=1000000)
	PYTHONPATH=tests $(BIN)/python bench/growth.py --rows $(or $(ROWS),1000000)

bench-starved: setup ## measure leader election with very little processor time (SHARE=0.05 SECONDS=120)
	PYTHONPATH=tests $(BIN)/python bench/starved_operator.py --share $(or $(SHARE),0.05) --seconds $(or $(SECONDS),120)

fuzz-gate: setup ## validate a million mutated files (SEED=)
	GATE_MUTANTS=1000000 GATE_SEED=$(or $(SEED),1) $(BIN)/pytest -s tests/gate/test_mutants.py

up: setup ## create a kind cluster with dependencies and operator, and leave it running
	kind get clusters | grep -qx $(KIND_CLUSTER) || kind create cluster --name $(KIND_CLUSTER) --config e2e/kind/cluster.yaml
	$(MAKE) images
	$(BIN)/python e2e/install.py --service-image $(SERVICE_IMAGE) --operator-image $(OPERATOR_IMAGE)
	@echo 'Next:'
	@echo '  $(BIN)/kubectl-healthingest status clinic --namespace healthingest-demo'
	@echo '  $(BIN)/python e2e/kind/upload_sample.py --namespace healthingest-demo   # receipt and message of a sample'
	@echo '  kubectl port-forward --namespace healthingest-demo service/clinic 8000:80   # then open http://127.0.0.1:8000/health/ready'
	@echo '  tilt up   # live update of both images; make down deletes the cluster'

down: ## delete the cluster of `make up`
	kind delete cluster --name $(KIND_CLUSTER)

##@ Compose
compose-secrets: $(DEMO_READY) ## write passwords and keys into compose/secrets/, once
	@$(BIN)/python compose/write_secrets.py

compose-up: compose-secrets ## build and start the service with its dependencies (COMPOSE='podman-compose')
	$(COMPOSE) up --detach --build

compose-demo: compose-up ## start everything, upload a sample, wait for its announcement
	@$(BIN)/python compose/upload_sample.py

compose-down: ## stop everything; the volumes stay (COMPOSE_DOWN=--volumes removes them)
	$(COMPOSE) down $(COMPOSE_DOWN)

##@ Develop
setup: $(READY) ## create .venv from the hash-locked requirements

$(READY): requirements/dev.txt requirements/install.py pyproject.toml
	@$(PYTHON) requirements/install.py requirements/dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $(DEMO_READY) $@

$(DEMO_READY): requirements/service.txt requirements/client.txt requirements/install.py
	@$(PYTHON) requirements/install.py requirements/service.txt requirements/client.txt
	@touch $@

$(OPERATOR_READY): requirements/operator.txt requirements/install.py
	@ENVIRONMENT=$(@D) $(PYTHON) requirements/install.py requirements/operator.txt
	@touch $@

check: lint types arch generated docs ## all static checks

fmt: setup ## format the sources
	$(BIN)/ruff format . && $(BIN)/ruff check --fix-only --quiet .

lint: setup ## ruff, prose, schemas of Compose and workflows, zizmor, yamllint, shellcheck, hadolint
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/python docs/prose/check_prose.py
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec compose.yaml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.renovate renovate.json
	$(BIN)/zizmor --quiet --offline --no-progress --config .github/zizmor.yml .github/workflows
	$(BIN)/yamllint --strict --config-file .yamllint.yaml compose.yaml crds examples e2e charts/healthingest-operator/values.yaml charts/healthingest-operator/Chart.yaml
	$(BIN)/shellcheck .ci/run
	$(BIN)/hadolint service/Dockerfile operator/Dockerfile .devcontainer/Dockerfile

docs: setup ## build the site into .cache/docs; a broken link fails
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -b html docs .cache/docs

diagrams: ## draw docs/diagrams/*.svg from *.dot (needs graphviz)
	for source in docs/diagrams/*.dot; do dot -Tsvg $$source -o $${source%.dot}.svg || exit 1; done

types: setup ## mypy, strict
	$(BIN)/mypy
	$(BIN)/mypy e2e # separately, because tests and e2e both have a module conftest

arch: setup ## check which package imports which
	$(BIN)/lint-imports --no-cache

unit: setup ## run the tests on all processors (TESTS=tests/operator for some of them)
	$(BIN)/pytest -m 'not long' $(PARALLEL) $(TESTS)

test-long: setup servers ## run the tests that take minutes: long property tests, histories, mutants, inputs, plans of queries (SHORT=1: without the last two)
	$(BIN)/pytest -m long $(PARALLEL) $(TESTS)
	HEALTHINGEST_RANDOM_SPECS=3000 $(BIN)/pytest $(PARALLEL) tests/cluster/test_validation.py
	$(if $(SHORT),,INPUT_EXAMPLES=500 $(BIN)/pytest $(PARALLEL) tests/ports/test_any_input.py)
	$(if $(SHORT),,$(MAKE) test-plans)

test-plans: setup servers ## explain every query with many rows in each table: none reads a whole one (ROWS=1000000)
	PLAN_ROWS=$(or $(ROWS),1000000) $(BIN)/pytest tests/ports/test_query_plans.py

simulate: setup ## run the operator in a simulated cluster with faults and crashes (SEEDS=1000 FROM=0; prints failing seeds)
	@PYTHONPATH=tests $(BIN)/python -m simulation.run --seeds $(or $(SEEDS),1000) --start $(or $(FROM),0)

servers: setup ## install the servers for the tests with apt-get, as root (NO_INSTALL=1: install nothing)
	@PYTHONPATH=tests $(BIN)/python -m support.servers.packages

# Without Go, or without its modules, the measurements say that tusd is skipped.
$(TUSD): bench/tusd/go.sum
	@mkdir -p $(@D)
	@cd bench/tusd && go build -buildvcs=false -mod=readonly -o $(CURDIR)/$@ github.com/tus/tusd/v2/cmd/tusd || echo 'tusd could not be built, see above: what is compared with it is SKIPPED'

generated: setup ## fail when a generated file differs from its source
	@$(BIN)/python -m healthingest_operator.api.generate --check
	@$(BIN)/python docs/settings/write_settings.py --check
	@$(BIN)/python docs/messages/write_messages.py --check
	@PYTHONPATH=bench $(BIN)/python -m benchmarks.write_page --check

goldens: setup ## generate the operator's expected objects, the tables of causes and codes, and the plugin's reference; review the diff
	UPDATE_GOLDENS=1 $(BIN)/pytest -q tests/operator/resources/test_goldens.py tests/operator/test_runbook.py tests/gate/test_documents.py \
	  tests/plugin/test_reference.py tests/client/test_reference.py

crds: setup ## generate the CustomResourceDefinition, the chart's copy and the reference tables
	$(BIN)/python -m healthingest_operator.api.generate

messages: setup ## generate the AsyncAPI document, the JSON Schemas and the page of the messages
	$(BIN)/python docs/messages/write_messages.py

settings: setup ## generate the reference of all settings and the chart's values for the operator
	$(BIN)/python docs/settings/write_settings.py

images: ## build both images and load them into the cluster
	$(IMAGE_BUILD) $(IMAGE_TAG_FLAG) $(SERVICE_IMAGE) . $(IMAGE_FILE_FLAG) service/Dockerfile
	$(IMAGE_BUILD) $(IMAGE_TAG_FLAG) $(OPERATOR_IMAGE) . $(IMAGE_FILE_FLAG) operator/Dockerfile
	$(IMAGE_LOAD) $(SERVICE_IMAGE)
	$(IMAGE_LOAD) $(OPERATOR_IMAGE)

images-live: | images ## build the images of `tilt up` as NAME:live, and load them into the cluster
	@mkdir -p .cache
	for part in service operator; do \
	  cat $$part/Dockerfile e2e/kind/live.dockerfile > .cache/$$part.live.dockerfile; \
	  $(IMAGE_BUILD) --build-arg MODULE=healthingest_$$part.main $(IMAGE_TAG_FLAG) healthingest-$$part:live . $(IMAGE_FILE_FLAG) .cache/$$part.live.dockerfile \
	    && $(IMAGE_LOAD) healthingest-$$part:live || exit 1; done

locks: setup ## compile requirements/*.txt from pyproject.toml
	$(BIN)/uv pip compile $(LOCK_FLAGS) --extra service --extra tracing --extra operator --extra client --extra consumer --extra plugin --group dev -o requirements/dev.txt pyproject.toml
	for extra in service tracing operator client consumer plugin; do \
	  $(BIN)/uv pip compile $(LOCK_FLAGS) --extra $$extra -c requirements/dev.txt -o requirements/$$extra.txt pyproject.toml || exit 1; done
	for group in package bootstrap; do \
	  $(BIN)/uv pip compile $(LOCK_FLAGS) --group $$group -c requirements/dev.txt -o requirements/$$group.txt || exit 1; done

LOCK_FLAGS := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

release-check: ## fail unless TAG is the version of pyproject.toml and of the chart
	@test '$(TAG)' = 'v$(VERSION)' || { echo "tag $(TAG) is not v$(VERSION)"; exit 1; }
	@grep -qx 'version: $(VERSION)' charts/healthingest-operator/Chart.yaml && grep -qx 'appVersion: $(VERSION)' charts/healthingest-operator/Chart.yaml \
	  || { echo 'charts/healthingest-operator/Chart.yaml has another version'; exit 1; }

release-images: ## build both images as $REGISTRY/NAME:VERSION; PUSH=1 pushes them and writes their digests to dist/images.txt
	@test -n '$(REGISTRY)' || { echo 'set REGISTRY'; exit 1; }
	@mkdir -p dist && : > dist/images.txt
	for name in service operator; do \
	  image=$(REGISTRY)/healthingest-$$name:$(VERSION); \
	  $(IMAGE_BUILD) $(IMAGE_TAG_FLAG) $$image . $(IMAGE_FILE_FLAG) $$name/Dockerfile || exit 1; \
	  test -z '$(PUSH)' || { $(DOCKER) push $$image && $(DOCKER) inspect --format '{{index .RepoDigests 0}}' $$image >> dist/images.txt; } || exit 1; done

chart: setup ## pack the chart into dist/, the same bytes for the same files, without Helm or a registry
	@$(BIN)/python charts/package_chart.py --destination dist

release-chart: chart ## pack the chart into dist/; PUSH=1 pushes it to oci://$REGISTRY/charts
	test -z '$(PUSH)' || helm push dist/healthingest-operator-$(VERSION).tgz oci://$(REGISTRY)/charts

release-artifacts: setup release-chart ## build wheel, chart, bill of materials and checksums into dist/, without a registry
	rm -rf .cache/wheel && mkdir -p .cache/wheel && git archive HEAD | tar -x -C .cache/wheel
	HEALTHINGEST_PURE=1 $(BIN)/uv build --quiet --wheel --no-build-isolation --python $(BIN)/python --out-dir dist .cache/wheel
	for part in service tracing operator client consumer plugin; do \
	  $(BIN)/cyclonedx-py requirements --output-reproducible --output-file dist/healthingest-$$part.cdx.json requirements/$$part.txt || exit 1; done
	cd dist && rm -f SHA256SUMS && find . -maxdepth 1 -type f ! -name .gitignore ! -name SHA256SUMS -printf '%P\n' | LC_ALL=C sort | xargs sha256sum > SHA256SUMS

changelog: setup ## write CHANGELOG.md from changes/
	$(BIN)/towncrier build --yes --version $(VERSION)

clean: ## remove everything that `make` has created here
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
