#!/usr/bin/env bash
# Deploy everything to one environment, in six stages:  scripts/deploy.sh dev|staging|prod
#
#   1 validation      the environment's name, the tools, the credentials; preflight: what a deployment needs and cannot
#                     mend by itself (Terraform's bucket and lock, quotas)
#   2 preparation     terraform init, validate, fmt -check, plan
#   3 infrastructure  terraform apply of that plan; a kubeconfig of its own, so yours is not touched
#   4 application     Helm charts, manifests, the automation stack; with IMAGE a release
#   5 health          nodes ready; preflight: contract, state, stack, cluster, pods, targets, traffic as recorded, alarms,
#                     and that service, database and cache answer
#   6 summary         what was done and how long it took; everything is in the log
#
#   DRY_RUN=true          stop before anything is applied: the plan, the automation's change set, the release's plan
#   SKIP_VALIDATION=true  without stage 5
#   SKIP_AUTOMATION=true  without the automation stack (it has a pipeline of its own)
#   IMAGE                 release this once everything is deployed: a tag, or repository@sha256:…
#   FIRST_IMAGE           registry/repository@sha256:… that both colours start with, while nothing runs yet
#   PLAN                  apply this plan, which somebody has read, instead of making one
#   LOG                   the log's file [out/logs/deploy-<environment>-<time>.log]
#   SERVICE               the service's name [detection-api]
#   SKIP_CHECKS           checks of `ops preflight` to leave out in both stages, by name, with commas
#   NODES_TIMEOUT, HEALTH_TIMEOUT   how long stage 5 waits for nodes, and for preflight to pass [600s, 300 seconds]
# and what the scripts that are called here know.
#
# Preflight's FAIL stops with exit code 1. INCONCLUSIVE, what could not be read, stops too, with 6: not knowing is no
# pass. Its lines say what to do; SKIP_CHECKS is for whoever knows better. Certificate, versions, backups, drills are not
# asked here, for a deployment may be what mends them: `ops preflight <environment>` has the whole checklist.
#
# On an error it stops, and undoes what can be undone truthfully:
#   application     a release that fails rolls itself back; one that succeeded is taken back (ops rollback) if stage 5
#                   then fails, not if it is inconclusive (6) or interrupted: nothing says then that the release is bad
#   automation      CloudFormation restores the stack by itself
#   infrastructure  NOT undone. Terraform knows no transactions: what was applied stays, the state says what that is.
#                   Correct it and run this again. The same holds for charts and manifests.
# The exit code is that of the command that failed; 2 for wrong usage; 130 or 143 after SIGINT or SIGTERM, which end what
# runs in the way of that command. A signal to this process alone lets that command finish first.
set -Eeuo pipefail
cd "$(dirname "$0")/.."

usage() {
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "scripts/$(basename "$0")"
}

case "${1:-}" in
-h | --help)
    usage
    exit 0
    ;;
dev | staging | prod) environment=$1 ;;
*)
    { echo "deploy: '${1:-}' is no environment" && echo && usage; } >&2
    exit 2
    ;;
esac
[ $# -eq 1 ] || { echo "deploy: one environment at a time" >&2 && exit 2; }
for name in DRY_RUN SKIP_VALIDATION SKIP_AUTOMATION; do
    case "${!name:-false}" in
    true | false) ;;
    *) echo "deploy: $name is '${!name}': true or false" >&2 && exit 2 ;;
    esac
done
dry() { [ "${DRY_RUN:-false}" = true ]; }

if [ -n "${SERVICE:-}" ]; then export SERVICE OPS_SERVICE="$SERVICE" TF_VAR_service="$SERVICE"; fi
export TERRAFORM="${TERRAFORM:-terraform}" AWS="${AWS:-aws}" KUBECTL="${KUBECTL:-kubectl}" HELM="${HELM:-helm}"
export SAM="${SAM:-$PWD/.venv-sam/bin/sam}" OPS="${OPS:-$PWD/.venv/bin/ops}"
export TF_DATA_DIR="$PWD/out/terraform/$environment" KUBECONFIG="$PWD/out/kubeconfig/$environment"
ops() { "$OPS" --environment "$environment" "$@"; }
preflight() { # checks, options…
    local code=0 checks=$1
    shift
    ops preflight --only "$checks" ${SKIP_CHECKS:+--skip "$SKIP_CHECKS"} "$@" || code=$?
    case $code in
    1) echo "deploy: preflight FAILED" >&2 ;;
    6) echo "deploy: preflight is INCONCLUSIVE" >&2 ;;
    *) return "$code" ;;
    esac
    echo "  do what its arrows (→) say and run this again, or leave a check out on purpose: SKIP_CHECKS=name,…" >&2
    return "$code"
}

stage=0 done_so_far=() released=""
begin() {
    stage=$1 stage_name=$2 stage_began=$SECONDS
    echo
    echo "== $1/6 $2 == $(date -u +%FT%TZ)"
}
did() { done_so_far+=("$* ($((SECONDS - stage_began)) s)"); }

validation() {
    begin 1 validation
    local tool missing=()
    for tool in "$TERRAFORM" "$AWS" "$KUBECTL" "$HELM" "$SAM" "$OPS"; do
        command -v "$tool" >/dev/null || missing+=("$tool")
    done
    if [ ${#missing[@]} -gt 0 ]; then
        echo "deploy: not found: ${missing[*]} (sam and ops come with \`make setup\`)" >&2
        return 127
    fi
    "$AWS" sts get-caller-identity --query Arn --output text
    did "tools and credentials are there"
    # None needs what the first deployment makes.
    preflight credentials,state-bucket,state-lock,quota-database-instances,quota-functions
    did "preflight: nothing stands against a deployment"
}

preparation() {
    begin 2 "preparation"
    if [ -n "${PLAN:-}" ]; then
        plan=$(cd "$(dirname "$PLAN")" && pwd)/$(basename "$PLAN")
        [ -s "$plan" ] || { echo "deploy: there is no plan $PLAN" >&2 && return 2; }
        # The providers' checksums that it was made with, or Terraform refuses it.
        if [ -f "${plan%.tfplan}.lock.hcl" ]; then cp "${plan%.tfplan}.lock.hcl" terraform/.terraform.lock.hcl; fi
        account=$("$AWS" sts get-caller-identity --query Account --output text)
        "$TERRAFORM" -chdir=terraform init -reconfigure -input=false \
            -backend-config="environments/$environment.tfbackend" \
            -backend-config="bucket=${SERVICE:-detection-api}-terraform-state-$account"
        did "the plan $PLAN is taken as it is"
        return
    fi
    scripts/plan.sh "$environment"
    plan=$PWD/out/plans/$environment.tfplan
    did "planned: out/plans/$environment.txt"
}

infrastructure() {
    begin 3 infrastructure
    if dry; then
        did "not applied (dry run)"
        return
    fi
    "$TERRAFORM" -chdir=terraform apply -input=false "$plan"
    did "applied"
    kubeconfig
}

kubeconfig() {
    local cluster
    cluster=$("$TERRAFORM" -chdir=terraform output -raw cluster_name)
    mkdir -p "$(dirname "$KUBECONFIG")"
    "$AWS" eks update-kubeconfig --name "$cluster" --kubeconfig "$KUBECONFIG"
    chmod 600 "$KUBECONFIG"
    did "kubectl is set to $cluster: $KUBECONFIG"
}

application() {
    begin 4 application
    if ! dry; then
        scripts/install-charts.sh "$environment"
        did "charts are installed"
        .venv/bin/python scripts/apply_manifests.py "$environment" ${FIRST_IMAGE:+--image "$FIRST_IMAGE"}
        did "manifests are applied"
    fi
    if [ "${SKIP_AUTOMATION:-false}" = false ]; then
        scripts/deploy-automation.sh "$environment"
        if dry; then did "the automation's change set is made, not executed"; else did "the automation is deployed"; fi
    fi
    [ -n "${IMAGE:-}" ] || return 0
    if dry; then
        ops release --image "$IMAGE" --reason "scripts/deploy.sh" --dry-run
        return
    fi
    ops release --image "$IMAGE" --reason "scripts/deploy.sh"
    released=$IMAGE
    did "$IMAGE is released"
}

health() {
    begin 5 health
    if dry || [ "${SKIP_VALIDATION:-false}" = true ]; then
        did "skipped"
        return
    fi
    local checks=contract,state,cluster,pods,targets,health,release-alarms
    "$KUBECTL" wait --for=condition=Ready nodes --all --timeout="${NODES_TIMEOUT:-600s}"
    "$KUBECTL" get pods,services --namespace "${SERVICE:-detection-api}"
    # What is recorded, the automation records; before its own pipeline has deployed it there is nothing to compare with.
    if [ "${SKIP_AUTOMATION:-false}" = false ]; then checks+=,stack,weights; fi
    # Pods and targets may just have been replaced. The service is ready only if it can read and store: database and cache
    # are reached from where they are used.
    preflight "$checks" --wait "${HEALTH_TIMEOUT:-300}"
    if [ "${SKIP_AUTOMATION:-false}" = false ]; then ops status; fi
    did "nodes, pods, service, database, cache and traffic are well"
}

# shellcheck disable=SC2329 # the trap calls it
summary() { # exit code
    echo
    echo "== 6/6 summary == $(date -u +%FT%TZ)"
    if [ ${#done_so_far[@]} -gt 0 ]; then printf '  %s\n' "${done_so_far[@]}"; fi
    if [ "$1" -eq 0 ]; then
        echo "  $environment: $(dry && echo "nothing was changed (dry run)" || echo deployed) after $SECONDS s"
        return
    fi
    echo "  $environment: FAILED in stage $stage ($stage_name) with exit code $1 after $SECONDS s"
    if [ "$1" -eq 130 ] || [ "$1" -eq 143 ]; then
        echo "  interrupted: a stack or release that was under way goes on by itself: ops status"
    fi
    if [ -n "$released" ] && [[ $1 =~ ^(6|130|143)$ ]]; then echo "  $released stays released: nothing says that it is bad"; fi
    case "$stage" in
    1 | 2) echo "  nothing was changed" ;;
    3) echo "  Terraform does not roll back: what was applied stays. Correct it and run this again" ;;
    4) echo "  a stack or release that failed is back where it was; infrastructure, charts, manifests stay as applied" ;;
    5) echo "  infrastructure, charts, manifests and automation stay as applied" ;;
    esac
}

# shellcheck disable=SC2329 # the trap calls it
ended() {
    local code=$?
    trap - EXIT
    set +e
    # Another signal ends a rollback's waiting, not what is still to be said.
    trap : INT TERM
    if [ -n "$released" ] && [[ ! $code =~ ^(0|6|130|143)$ ]]; then
        echo "deploy: taking back the release of $released" >&2
        if ops rollback --reason "scripts/deploy.sh: $stage_name failed after the release"; then
            did "$released was rolled back"
        else
            echo "deploy: the rollback FAILED with exit code $?: see ops status" >&2
            did "$released could NOT be rolled back"
        fi
    fi
    summary "$code"
    echo "  log: $LOG"
    # The log is whole before this ends.
    exec >&- 2>&-
    wait "$tee"
    exit "$code"
}

LOG=${LOG:-out/logs/deploy-$environment-$(date -u +%Y%m%dT%H%M%SZ).log}
mkdir -p "$(dirname "$LOG")"
# tee outlives an interrupt, or what is done about it would be said to nobody.
exec > >(trap '' INT TERM && exec tee -a "$LOG") 2>&1
tee=$!
trap ended EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
echo "deploy $environment$(dry && echo ", dry run" || true), by ${USER:-$(id -un)}"
validation
preparation
infrastructure
application
health
