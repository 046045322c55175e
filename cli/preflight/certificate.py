"""The certificate of the balancer's listener."""

from cli.preflight.check import Sources
from cli.preflight.finding import Finding, failed
from cli.preflight.rules.certificate import judge_certificate, judge_listener


def certificate(sources: Sources) -> Finding:
    """The listener's default certificate, from ACM."""
    session, platform = sources.session, sources.platform
    listeners = session.client("elbv2").describe_listeners(ListenerArns=[platform.listener_arn])["Listeners"]
    listener = listeners[0]
    finding = judge_listener(listener.get("Protocol", "unknown"), platform.service_url)
    if finding is not None:
        return finding
    arns = [one["CertificateArn"] for one in listener.get("Certificates", ()) if one.get("CertificateArn")]
    if not arns:
        return failed("the HTTPS listener has no certificate", "apply Terraform", listener=platform.listener_arn)
    if arns[0].split(":")[2] != "acm":
        return failed(f"{arns[0]} is not of ACM, which would renew it", "move the certificate to ACM", arn=arns[0])
    found = session.client("acm").describe_certificate(CertificateArn=arns[0])["Certificate"]
    return judge_certificate(found, platform.service_url, sources.now)
