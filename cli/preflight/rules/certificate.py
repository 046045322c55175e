"""Whether the listener's certificate will do: issued, for the service's host, and for a while yet."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from cli.output import moment
from cli.preflight.finding import Finding, failed, passed

# ACM renews 60 days before the end, if the name still proves itself; what is not renewed at 30 never was.
# https://docs.aws.amazon.com/acm/latest/userguide/managed-renewal.html
LEAST_DAYS = 30


def judge_listener(protocol: str, service_url: str) -> Finding | None:
    """The finding where there is no TLS; None where there is a certificate to look at."""
    if protocol == "HTTPS":
        return None
    if urlsplit(service_url).scheme == "https":
        return failed(
            f"clients are told {service_url}, but the listener speaks {protocol}",
            "set https, domain_name and a certificate in the environment's tfvars, and apply",
            protocol=protocol,
        )
    return passed(
        f"none is needed: the listener speaks plain {protocol}, and clients are told {service_url}",
        "for HTTPS: https = true and domain_name in the environment's tfvars (docs/terraform.md)",
        protocol=protocol,
    )


def judge_certificate(certificate: Mapping[str, Any], service_url: str, now: datetime) -> Finding:
    """`certificate` is that of ACM's DescribeCertificate."""
    host, arn = (urlsplit(service_url).hostname or "").lower(), certificate.get("CertificateArn", "")
    names = [certificate.get("DomainName", ""), *certificate.get("SubjectAlternativeNames", ())]
    facts = {"arn": arn, "names": sorted({name for name in names if name}), "not_after": certificate.get("NotAfter")}
    if certificate.get("Status") != "ISSUED":
        advice = "see the certificate in the ACM console: its domain's validation record must be in DNS"
        return failed(f"{arn} is {certificate.get('Status', 'of no known status')}", advice, **facts)
    if not covers(names, host):
        advice = "issue one for that name, or correct domain_name"
        return failed(f"{arn} is for {', '.join(facts['names'])}, not for {host}", advice, **facts)
    not_after = certificate.get("NotAfter")
    days = (not_after - now).total_seconds() / 86400 if not_after else 0.0
    if days < LEAST_DAYS:
        advice = "ACM renews 60 days before the end: see why it did not (renewal status), or import a new one"
        return failed(f"{arn} ends {moment(not_after)}, in {days:.0f} days", advice, **facts)
    return passed(f"{host} until {moment(not_after)}, {days:.0f} days", **facts)


def covers(names: Sequence[str], host: str) -> bool:
    """Whether one of the names is the host; `*` stands for one label (RFC 6125, 6.4.3)."""
    for name in (name.lower() for name in names):
        if name == host or (name.startswith("*.") and host.partition(".")[2] == name[2:]):
            return True
    return False
