#!/bin/sh
# Build the automation stack into .aws-sam/build, and with an argument pack it:  scripts/build-automation.sh [ARCHIVE]
#
# Beside the archive lies its SHA-256, which deploy-automation.sh checks, so that what was built once is what every
# environment gets.
set -eu
cd "$(dirname "$0")/.."
SAM_CLI_TELEMETRY=0 "${SAM:-.venv-sam/bin/sam}" build --config-file "$PWD/samconfig.toml"
[ $# -gt 0 ] || exit 0
mkdir -p "$(dirname "$1")"
# The built template refers to the state machines by their path in the checkout.
tar -czf "$1" .aws-sam/build statemachines
cd "$(dirname "$1")"
sha256sum "$(basename "$1")" >"$(basename "$1").sha256"
echo "build: $1"
cat "$(basename "$1").sha256"
