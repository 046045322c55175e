"""Whether the contract speaks of the account and region that are looked at."""

from collections.abc import Mapping

from cli.preflight.finding import Finding, failed, passed


def judge_place(arns: Mapping[str, str], *, path: str, count: int, account: str, region: str) -> Finding:
    """`arns` by the name of their parameter; `count` is how many parameters there are in all."""
    foreign = {}
    for name, arn in arns.items():
        # arn:partition:service:region:account:resource; IAM's have no region.
        parts = arn.split(":", 5)
        there = (parts[3] or region, parts[4] or account) if len(parts) > 5 else (region, account)
        if there != (region, account):
            foreign[name] = arn
    if foreign:
        named = "; ".join(f"{name} is {arn}" for name, arn in foreign.items())
        return failed(
            f"{path} speaks of another account or region than {account}, {region}: {named}",
            "use the profile and region of this environment, or apply Terraform there",
            foreign=foreign,
        )
    return passed(f"{count} parameters under {path}, all of account {account} in {region}", path=path, count=count)
