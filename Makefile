# Needs Python 3.11 or newer (with venv), make and git. `make` alone lists the targets.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL: setup demo test

PYTHON ?=
export PYTHON
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest

# The authorities of this machine, not uv's own: also for the layer, which the SAM CLI builds with uv.
UV_SYSTEM_CERTS ?= true
export UV_SYSTEM_CERTS

# What the tools would otherwise ask the network, the user's AWS account, or their makers.
export SAM_CLI_TELEMETRY := 0
export AWS_EC2_METADATA_DISABLED := true
export CHECKOV_RUN_SCA_PACKAGE_SCAN_V2 := false

.PHONY: help setup demo up down test test-unit test-contract test-sandbox test-workflow test-recovery test-remediation
.PHONY: test-preflight bench-release bench-snapshot bench-recovery
.PHONY: test-infrastructure terraform-test cost measure-automation
.PHONY: check check-code check-types check-template check-sam check-statemachines check-policy format
.PHONY: check-secrets check-resources policy-report audit
.PHONY: diagrams recording
.PHONY: check-workflows check-shell lint-terraform scan-terraform check-platform-docs cost-delta test-delivery
.PHONY: build-automation plan deploy deploy-automation
.PHONY: setup-checkov setup-terraform setup-kubernetes lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-19s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Create or update the virtual environments
	@sh scripts/setup.sh dev sam

setup-checkov:
	@sh scripts/setup.sh checkov

setup-terraform:
	@sh scripts/setup.sh terraform

setup-kubernetes:
	@sh scripts/setup.sh kubernetes

demo: setup ## Run the whole story on this machine, without an AWS account
	@$(BIN)/python -m sandbox.demo

up: setup ## Start a sandbox and leave it running
	@$(BIN)/ops sandbox up

down: ## Stop the sandbox and remove what it left
	@if [ -x $(BIN)/ops ]; then $(BIN)/ops sandbox down; else echo "nothing is installed, so nothing runs"; fi

# Two workers suit two processors; each starts the sandboxes that its files need.
PARALLEL := -n 2 --dist loadfile

# One worker for each of the two sandboxes, which mostly wait, and one that computes meanwhile (tests/conftest.py).
ALL_AT_ONCE := -n 3 --dist loadgroup --no-loadscope-reorder

# Each workflow as it should go; `make test-workflow`, `test-recovery` and `test-remediation` have the ways in which it fails.
WORKFLOWS := tests/recovery/test_snapshot.py tests/recovery/test_restore_replace.py tests/recovery/test_drill.py \
	tests/recovery/test_objectives.py tests/workflow/test_release.py tests/workflow/test_rollback.py

test: check setup-terraform setup-kubernetes ## Everything about the product: platform, rules, steps, workflows
	@$(PYTEST) $(ALL_AT_ONCE) $(WORKFLOWS) tests/infrastructure tests/delivery/test_workflows.py \
		tests/contract tests/unit

test-unit: setup ## Decisions and handlers, without a sandbox
	@$(PYTEST) tests/unit

test-contract: setup ## Template, state machines, schemas and events agree
	@$(PYTEST) tests/contract

test-sandbox: setup ## The sandbox does what AWS does: planes, cluster, balancer, PostgreSQL, Redis
	@$(PYTEST) $(PARALLEL) tests/sandbox

test-infrastructure: setup setup-terraform setup-checkov setup-kubernetes ## Terraform and manifests, checked without an account
	@$(PYTEST) $(PARALLEL) tests/infrastructure

# With the AWS provider itself, which is downloaded; still without an account.
terraform-test: setup setup-terraform ## As above with PROVIDER=real: validate and test against the AWS provider
	@PROVIDER=$(or $(PROVIDER),tests) $(PYTEST) tests/infrastructure/test_deployment_automation.py -k TestTerraform

test-workflow: setup ## Releases and rollbacks, in a sandbox, under load
	@$(PYTEST) $(PARALLEL) tests/workflow

test-recovery: setup ## Snapshots, restores, drills and objectives, in a sandbox with engines
	@$(PYTEST) $(PARALLEL) tests/recovery

test-preflight: setup ## ops preflight on a healthy and on a broken sandbox; notifications up to a receiver in Slack's place
	@$(PYTEST) tests/preflight

# One sandbox for all of it: a storm, and what an hour of alarms would do, within some twenty minutes.
test-remediation: setup ## Alarms and their repairs, guardrails, interruptions, a storm; writes out/remediation.json
	@$(PYTEST) tests/remediation

test-delivery: setup setup-terraform setup-checkov ## The pipeline's steps, deploy.sh and disaster-recovery.sh, in a sandbox
	@$(PYTEST) tests/delivery

bench-release: setup ## 100 switches under load; writes out/bench/release.json
	@$(BIN)/python -m sandbox.bench.release

bench-snapshot: setup ## An hourly cycle for 1,000 databases beside a bare loop; writes out/bench/snapshot.json
	@$(BIN)/python -m sandbox.bench.snapshot

bench-recovery: setup ## Restores at AWS's durations, by hand, to random moments; writes out/bench/recovery.json
	@$(BIN)/python -m sandbox.bench.recovery

cost: setup setup-terraform ## What it costs a month: docs/cost.md, from plans, docs/cost/prices.yaml and what was measured
	@$(BIN)/python -m scripts.cost

measure-automation: setup ## Count what the workflows use, in a sandbox; writes docs/cost/automation.json
	@$(BIN)/python -m sandbox.bench.automation

recording: setup ## Record two releases in a sandbox: docs/release.svg
	@$(BIN)/python -m sandbox.demo.record

diagrams: setup setup-terraform ## Draw the workflows: docs/workflow-*.svg, from statemachines/
	@$(BIN)/python -m scripts.draw_workflows

check: setup setup-checkov ## Formatting, types, and the linters of the template and state machines
	@$(MAKE) --no-print-directory -j2 check-policy check-sam check-code check-types check-template \
		check-statemachines check-secrets check-resources check-workflows check-shell lint-terraform
	@echo "check: no problems"

check-code:
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .

check-types:
	@$(BIN)/mypy --no-error-summary

check-template:
	@$(BIN)/cfn-lint template.yaml

check-sam:
	@.venv-sam/bin/sam validate --lint --region us-east-1 >/dev/null

check-statemachines:
	@$(BIN)/python scripts/lint_statemachines.py statemachines/*.asl.json

check-policy:
	@.venv-checkov/bin/checkov --config-file .checkov.yaml

check-secrets:
	@.venv-checkov/bin/python scripts/scan_secrets.py

# Resources instead of *, wherever AWS's service authorization reference has them.
check-resources:
	@mkdir -p .build && $(BIN)/python -m scripts.policy_use.allowed >.build/statements.json
	@.venv-checkov/bin/python scripts/check_resource_levels.py <.build/statements.json

# With POLICY_TESTS=tests/… what these use is added to what is known; otherwise all is found out anew.
POLICY_TESTS ?= tests/workflow tests/recovery tests/remediation tests/preflight
policy-report: setup ## What each role may do against what it did in the tests; docs/policy-use.md, out/policy-use.json
	@rm -rf out/policy-use
	@SANDBOX_POLICY_USE="$(CURDIR)/out/policy-use" $(PYTEST) $(PARALLEL) $(POLICY_TESTS)
	@$(BIN)/python -m scripts.policy_use $(if $(findstring file,$(origin POLICY_TESTS)),--fresh) out/policy-use

# Asks the package index and its database of vulnerabilities, so it needs the network. What cannot be asked has failed.
audit: setup ## Known vulnerabilities in everything that is locked
	@sh scripts/setup.sh audit
	@for lock in requirements/*.txt; do \
		case $$lock in */constraints.txt) continue ;; esac; \
		echo "audit: $$lock"; \
		.venv-audit/bin/pip-audit --progress-spinner off --strict --require-hashes --disable-pip -r $$lock || exit 1; \
	done

check-workflows:
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(BIN)/zizmor --offline --quiet --no-progress .github/workflows

check-shell:
	@$(BIN)/shellcheck scripts/*.sh .ci/run

lint-terraform:
	@$(BIN)/python scripts/lint_terraform.py

# -- what the pipelines call, see .github/workflows/ ---------------------------------------------------------------------

scan-terraform: setup setup-terraform setup-checkov ## Checkov on the plan of every environment; writes out/security/platform.sarif
	@$(BIN)/python -m scripts.scan_platform out/security/platform.sarif

check-platform-docs: setup setup-terraform ## Write the platform's pages and pictures again; differing from the commit is an error
	@$(BIN)/python -m scripts.document_platform
	@git diff --exit-code --stat -- docs/terraform.md docs/environments.md 'docs/platform-*.svg'

cost-delta: cost ## What differs from BASE (a commit) in docs/cost.md; writes out/cost-delta.txt
	@mkdir -p out
	@git diff --unified=0 "$${BASE:-origin/main}" -- docs/cost.md >out/cost-delta.txt
	@if [ -s out/cost-delta.txt ]; then cat out/cost-delta.txt; else echo "No changes." | tee out/cost-delta.txt; fi

build-automation: setup ## Build the automation stack once, for every environment: out/build/automation.tar.gz
	@sh scripts/build-automation.sh out/build/automation.tar.gz

plan: ## Plan the platform of ENVIRONMENT; needs credentials
	@scripts/plan.sh "$$ENVIRONMENT"

deploy: ## Deploy everything to ENVIRONMENT (DRY_RUN=true only shows it); needs credentials
	@scripts/deploy.sh "$$ENVIRONMENT"

deploy-automation: ## Deploy the automation stack to ENVIRONMENT, as built in BUILD; needs credentials
	@scripts/deploy-automation.sh "$$ENVIRONMENT"

format: setup ## Format the Python code
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format --quiet .

lock: setup ## Resolve requirements/*.in again (UPGRADE=--upgrade takes newer releases)
	@sh scripts/lock.sh $(UPGRADE)

clean: down ## Take the sandbox down and remove everything that is generated
	@rm -rf .venv .venv-* .sandbox .aws-sam .build out .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
