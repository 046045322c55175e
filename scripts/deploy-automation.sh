#!/usr/bin/env bash
# Deploy the automation stack (template.yaml) to one environment:  scripts/deploy-automation.sh dev|staging|prod
#
#   BUILD        an archive of `make build-automation` to deploy as it is; without, it is built here
#   DRY_RUN      true: make the change set and show it, without executing it; SAM uploads what was built for it
#   SAM          the SAM CLI [.venv-sam/bin/sam]
#   SAM_CONFIG   file with the environments' parameters [samconfig.toml]
#
# There is nothing to roll back here: CloudFormation undoes an update that fails, and SAM waits for that. A stack whose
# very first creation failed (ROLLBACK_COMPLETE) must be deleted before the next try. The exit code is SAM's.
set -Eeuo pipefail
cd "$(dirname "$0")/.."

case "${1:-}" in
dev | staging | prod) environment=$1 ;;
*)
    echo "usage: scripts/deploy-automation.sh dev|staging|prod" >&2
    exit 2
    ;;
esac
sam() { command "${SAM:-.venv-sam/bin/sam}" "$@"; }
config=$(cd "$(dirname "${SAM_CONFIG:-samconfig.toml}")" && pwd)/$(basename "${SAM_CONFIG:-samconfig.toml}")
export SAM_CLI_TELEMETRY=0

if [ -n "${BUILD:-}" ]; then
    [ -f "$BUILD.sha256" ] || { echo "deploy-automation: $BUILD has no $BUILD.sha256 beside it" >&2 && exit 2; }
    (cd "$(dirname "$BUILD")" && sha256sum --check --quiet "$(basename "$BUILD").sha256")
    rm -rf out/automation
    mkdir -p out/automation
    tar -xzf "$BUILD" -C out/automation
    built=out/automation/.aws-sam/build
else
    sh scripts/build-automation.sh
    built=.aws-sam/build
fi

# Nobody is asked: whoever may start this has said yes, in CI by the approval of the environment.
deploy=(--template-file "$built/template.yaml" --config-file "$config" --config-env "$environment"
    --no-confirm-changeset --no-fail-on-empty-changeset --no-progressbar)
if [ "${DRY_RUN:-false}" = true ]; then deploy+=(--no-execute-changeset); fi
sam deploy "${deploy[@]}"
