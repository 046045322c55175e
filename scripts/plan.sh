#!/usr/bin/env bash
# Initialise, check and plan the platform of one environment:  scripts/plan.sh dev|staging|prod
#
# Leaves out/plans/<environment>.tfplan, which is what deploy.sh applies, <environment>.txt to read, and
# <environment>.lock.hcl, the providers' checksums, without which no other machine could apply the plan.
#   TERRAFORM   the command to use [terraform]
#   SERVICE     the service's name, with which the state's bucket begins [detection-api]
#   PLAN_ARGS   more for `terraform plan`, e.g. -lock=false with a role that only reads
# The exit code is that of the command that failed.
set -Eeuo pipefail
cd "$(dirname "$0")/.."

case "${1:-}" in
dev | staging | prod) environment=$1 ;;
*)
    echo "usage: scripts/plan.sh dev|staging|prod" >&2
    exit 2
    ;;
esac
read -ra plan_args <<<"${PLAN_ARGS:-}"
if [ -n "${SERVICE:-}" ]; then export TF_VAR_service="$SERVICE"; fi
terraform() { command "${TERRAFORM:-terraform}" -chdir=terraform "$@"; }

# One environment's providers and backend are not the other's; nor are those of whoever works in terraform/ by hand.
export TF_DATA_DIR="$PWD/out/terraform/$environment" TF_IN_AUTOMATION=1 TF_INPUT=0
mkdir -p out/plans "$TF_DATA_DIR"
account=$("${AWS:-aws}" sts get-caller-identity --query Account --output text)

# Without -upgrade: the versions in .terraform.lock.hcl are those that were tried.
terraform init -reconfigure -backend-config="environments/$environment.tfbackend" \
    -backend-config="bucket=${SERVICE:-detection-api}-terraform-state-$account"
if [ -f terraform/.terraform.lock.hcl ]; then cp terraform/.terraform.lock.hcl "out/plans/$environment.lock.hcl"; fi
terraform validate
terraform fmt -check -recursive
terraform plan -lock-timeout=5m -var-file="environments/$environment.tfvars" \
    -out="$PWD/out/plans/$environment.tfplan" ${plan_args[@]+"${plan_args[@]}"}
terraform show -no-color "$PWD/out/plans/$environment.tfplan" >"out/plans/$environment.txt"
