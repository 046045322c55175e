"""Whether Terraform's state is kept well, whole, and free to be worked on."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cli.output import elapsed, moment
from cli.preflight.finding import Finding, failed, passed
from opskit.decisions.terraform_state import inspect_state

BOOTSTRAP = "apply terraform/bootstrap"
_BLOCKS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")


def judge_bucket(
    bucket: str, *, versioning: str | None, encryption: str | None, public_access: Mapping[str, Any] | None
) -> Finding:
    """Versioned, encrypted, closed to the public; None is what S3 has no setting for.

    `versioning` is `Status` of GetBucketVersioning, `encryption` the algorithm of GetBucketEncryption, `public_access`
    GetPublicAccessBlock.
    """
    problems = []
    if versioning != "Enabled":
        problems.append(f"it is not versioned (versioning is {versioning or 'off'})")
    if encryption is None:
        problems.append("it has no default encryption")
    open_ways = [name for name in _BLOCKS if not (public_access or {}).get(name)]
    if open_ways:
        problems.append(f"public access is not blocked ({', '.join(open_ways)})")
    facts = {"bucket": bucket, "versioning": versioning, "encryption": encryption}
    if problems:
        return failed(f"{bucket}: {'; '.join(problems)}", f"{BOOTSTRAP}, which sets all of it", **facts)
    return passed(f"{bucket} is versioned, encrypted ({encryption}) and closed to the public", **facts)


def judge_lock(content: bytes | None, *, since: datetime | None, now: datetime, path: str) -> Finding:
    """A lock file beside the state: somebody is at work, or died at it. None: there is no such file.

    `use_lockfile` writes `<key>.tflock` and deletes it in the end
    (https://developer.hashicorp.com/terraform/language/backend/s3#state-locking); its JSON has ID, Operation, Who.
    """
    if content is None:
        return passed("free: no lock file beside the state (native S3 locking; no DynamoDB table is used)", path=path)
    try:
        info = json.loads(content)
    except ValueError:
        info = {}
    info = info if isinstance(info, dict) else {}
    who, what, lock_id = (info.get(name) or "unknown" for name in ("Who", "Operation", "ID"))
    age = elapsed((now - since).total_seconds()) if since else "unknown"
    return failed(
        f"held by {who} for {what} since {moment(since)} ({age})",
        f"wait for it to end; if nobody is at work any more: terraform force-unlock {lock_id}",
        path=path,
        id=lock_id,
        who=who,
        since=since,
    )


def judge_state(content: bytes | None, *, changed_at: datetime | None, path: str) -> Finding:
    """The state that the last apply left; None: there is none."""
    if content is None:
        return failed(f"there is no state {path}", "run terraform init and apply for this environment", path=path)
    state = inspect_state(content)
    if state.problem is not None:
        advice = "restore an earlier version of the object (it is versioned), and look at terraform plan"
        return failed(f"{path} cannot be used: {state.problem}", advice, path=path)
    resources, serial = state.counts["resources"], state.counts["serial"]
    if not resources:
        return failed(f"{path} holds no resources", "apply Terraform for this environment", path=path, **state.counts)
    reason = f"{path}: serial {serial}, {resources} resources, written {moment(changed_at)}"
    return passed(reason, path=path, changed_at=changed_at, **state.counts)


def judge_providers(arns: list[str], host: str) -> Finding:
    """Whether the pipeline can log in without a stored secret: IAM has the identity provider of `host`."""
    advice = "let IAM trust it (docs/aws.md); --skip pipeline-identity where no GitHub workflow deploys to this account"
    if any(arn.endswith(f":oidc-provider/{host}") for arn in arns):
        return passed(f"IAM trusts {host}: workflows log in by OIDC, and the repository keeps no secret of AWS")
    return failed(f"IAM has no identity provider {host}, so no GitHub workflow can log in here", advice)
