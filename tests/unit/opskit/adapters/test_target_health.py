from botocore.stub import Stubber

from opskit.adapters.target_health import target_states

from .conftest import session

ARN = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/x/0123456789abcdef"


def test_each_target_has_its_state_by_address_and_port() -> None:
    client = session().client("elbv2")
    described = [
        {"Target": {"Id": "10.0.1.1", "Port": 8000}, "TargetHealth": {"State": "healthy"}},
        {
            "Target": {"Id": "10.0.1.1", "Port": 8001},
            "TargetHealth": {"State": "unhealthy", "Reason": "Target.Timeout"},
        },
        {"Target": {"Id": "10.0.1.2", "Port": 8000}, "TargetHealth": {}},
    ]
    with Stubber(client) as stub:
        stub.add_response("describe_target_health", {"TargetHealthDescriptions": described}, {"TargetGroupArn": ARN})
        assert target_states(ARN, client) == {
            "10.0.1.1:8000": "healthy",
            "10.0.1.1:8001": "unhealthy",
            "10.0.1.2:8000": "unavailable",
        }
