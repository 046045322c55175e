#!/usr/bin/env bash
# Install or upgrade the Helm charts of one environment's cluster:  scripts/install-charts.sh dev|staging|prod
#
# What the service needs (load balancer controller, cluster autoscaler), then what it is looked at with (Prometheus,
# Grafana; not with MONITORING=false). Needs KUBECONFIG, Terraform's outputs, and the charts' repositories.
#   SERVICE                         the service's name [detection-api]
#   TERRAFORM, AWS, KUBECTL, HELM   the commands to use [terraform, aws, kubectl, helm]
# The exit code is that of the command that failed.
set -Eeuo pipefail
cd "$(dirname "$0")/.."

case "${1:-}" in
dev | staging | prod) environment=$1 ;;
*)
    echo "usage: scripts/install-charts.sh dev|staging|prod" >&2
    exit 2
    ;;
esac
export TF_DATA_DIR="$PWD/out/terraform/$environment"
output() { "${TERRAFORM:-terraform}" -chdir=terraform output "$@"; }
aws() { command "${AWS:-aws}" "$@"; }
kubectl() { command "${KUBECTL:-kubectl}" "$@"; }

# The version is the one that the values were written for, in the first line of their file.
install() { # release, chart, repository, namespace, values, more…
    local release=$1 chart=$2 repository=$3 namespace=$4 values=$5 version
    shift 5
    version=$(sed -n '1s/.* \([0-9][0-9.]*[0-9]\)[ :].*/\1/p' "$values")
    "${HELM:-helm}" upgrade --install "$release" "$chart" --repo "$repository" --version "$version" \
        --namespace "$namespace" --values "$values" --wait --timeout 10m "$@"
}

role() { # of the controller $1
    output -json controller_role_arns | python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}

service=${SERVICE:-detection-api}
cluster=$(output -raw cluster_name)
region=${AWS_REGION:-us-east-1}
vpc=$(aws eks describe-cluster --name "$cluster" --query cluster.resourcesVpcConfig.vpcId --output text)
controller=$(role aws-load-balancer-controller)
autoscaler=$(role cluster-autoscaler)
annotation='annotations.eks\.amazonaws\.com/role-arn'

install aws-load-balancer-controller aws-load-balancer-controller https://aws.github.io/eks-charts \
    kube-system kubernetes/system/aws-load-balancer-controller.yaml \
    --set "clusterName=$cluster" --set "region=$region" --set "vpcId=$vpc" --set "serviceAccount.$annotation=$controller"
install cluster-autoscaler cluster-autoscaler https://kubernetes.github.io/autoscaler \
    kube-system kubernetes/system/cluster-autoscaler.yaml \
    --set "autoDiscovery.clusterName=$cluster" --set "awsRegion=$region" \
    --set "rbac.serviceAccount.$annotation=$autoscaler"

[ "${MONITORING:-true}" = true ] || exit 0
kubectl apply -f kubernetes/monitoring/namespace.yaml
if ! kubectl get secret grafana-administrator --namespace monitoring >/dev/null 2>&1; then
    # By a file descriptor: what is in an argument, every user of the machine can read.
    kubectl create secret generic grafana-administrator --namespace monitoring --from-literal=admin-user=admin \
        --from-file=admin-password=<(head -c 24 /dev/urandom | base64 | tr -d '\n')
fi
install prometheus kube-prometheus-stack https://prometheus-community.github.io/helm-charts \
    monitoring kubernetes/monitoring/kube-prometheus-stack.yaml --set "kube-state-metrics.namespaces=$service"
kubectl kustomize kubernetes/monitoring | sed "s/\${SERVICE}/$service/g" | kubectl apply --server-side -f -
