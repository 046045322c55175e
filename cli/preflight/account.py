"""Who looks, at which account; and whether the platform has said everything that the automation needs."""

from cli.failures import explain
from cli.preflight.check import Sources
from cli.preflight.finding import Finding, failed, passed
from cli.preflight.rules.account import judge_place
from opskit.errors import PlatformContractError
from opskit.platform import PARAMETERS, path_of


def credentials(sources: Sources) -> Finding:
    """STS answers, so there are credentials and they are valid."""
    session = sources.session
    try:
        caller = session.caller
    except Exception as error:
        failure = explain(error, session)
        if failure is None:
            raise
        return failed(failure.message, "log in, then look again")
    where = "the sandbox" if session.is_local else "AWS"
    return passed(f"{caller['arn']} in {session.region} ({where})", **caller, region=session.region)


def contract(sources: Sources) -> Finding:
    """Every parameter is there and well formed, and speaks of this account and region."""
    session = sources.session
    path = path_of(session.service, session.environment)
    try:
        platform = sources.platform
    except PlatformContractError as error:
        return failed(str(error), f"apply Terraform for {session.environment} in this account and region", path=path)
    arns = {name: getattr(platform, name) for name in PARAMETERS if name.endswith("_arn")}
    return judge_place(arns, path=path, count=len(PARAMETERS), account=session.caller["account"], region=session.region)
