"""The automation stack, and the cluster with what the operator role may do in it."""

from botocore.exceptions import ClientError

from cli.preflight.check import Sources
from cli.preflight.finding import Finding, failed, passed, unknown
from cli.preflight.rules.stack import judge_cluster, judge_stack
from opskit.errors import ClusterError


def stack(sources: Sources) -> Finding:
    """The automation stack of the environment, by its name in samconfig.toml."""
    name = f"{sources.session.name}-automation"
    try:
        found = sources.session.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        # "Stack with id … does not exist"
        if error.response["Error"]["Code"] != "ValidationError" or "does not exist" not in str(error):
            raise
        return judge_stack(name, None, reason=None, changed_at=None)
    return judge_stack(
        name,
        found["StackStatus"],
        reason=found.get("StackStatusReason"),
        changed_at=found.get("LastUpdatedTime") or found.get("CreationTime"),
    )


def parameter(sources: Sources, name: str) -> str | None:
    """What the stack was deployed with; None without a stack, or without the right to read it."""
    try:
        found = sources.session.client("cloudformation").describe_stacks(
            StackName=f"{sources.session.name}-automation"
        )["Stacks"][0]
    except ClientError:
        return None
    return next((one["ParameterValue"] for one in found.get("Parameters", ()) if one["ParameterKey"] == name), None)


def cluster(sources: Sources) -> Finding:
    """ACTIVE, and its API answers the cluster operator role, as it must answer the functions."""
    session, platform = sources.session, sources.platform
    try:
        described = session.client("eks").describe_cluster(name=platform.cluster_name)["cluster"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        described = {}
    finding = judge_cluster(platform.cluster_name, described.get("status"))
    if finding is not None:
        return finding
    from cli.preflight.kubernetes import connect  # noqa: PLC0415 - loads the Kubernetes client

    try:
        live, _ = connect(sources).deployments()
    except ClusterError as error:
        return unreachable(error)
    if not live:
        return failed(
            f"{platform.cluster_name} answers, but {platform.namespace} has no Deployment of {platform.service}",
            "apply the manifests (docs/kubernetes.md)",
        )
    return passed(f"{platform.cluster_name} is ACTIVE and answers {platform.cluster_operator_role_arn}")


def unreachable(error: ClusterError) -> Finding:
    """The API did not answer here; from the functions' subnets it may."""
    advice = (
        "look from where the API can be reached (VPN, the pipeline's runner, or public_access_cidrs in tfvars), "
        "with credentials that may assume the cluster operator role"
    )
    return unknown(f"the cluster's API could not be read: {error}", advice)
