"""The private zone and its records, through Route 53's API."""

from typing import Any

TTL_SECONDS = 5


def create(route53: Any, name: str, *, vpc_id: str, region: str) -> str:
    """The id of the private zone `name`, created if it is not there."""
    found: str | None = find(route53, name)
    if found is None:
        created = route53.create_hosted_zone(
            Name=name,
            CallerReference=f"{name}-{vpc_id}",
            VPC={"VPCRegion": region, "VPCId": vpc_id},
            HostedZoneConfig={"Comment": "Names of the service's neighbours", "PrivateZone": True},
        )
        found = str(created["HostedZone"]["Id"])
    return found.rpartition("/")[2]


def find(route53: Any, name: str) -> str | None:
    """The id of the zone `name`, or None."""
    for zone in route53.list_hosted_zones_by_name(DNSName=name, MaxItems="1")["HostedZones"]:
        if zone["Name"].rstrip(".") == name:
            return str(zone["Id"]).rpartition("/")[2]
    return None


def point(route53: Any, zone_id: str, name: str, host: str, ttl_seconds: int = TTL_SECONDS) -> None:
    """Let the CNAME `name` answer `host`."""
    record = {"Name": name, "Type": "CNAME", "TTL": ttl_seconds, "ResourceRecords": [{"Value": host}]}
    change = {"Action": "UPSERT", "ResourceRecordSet": record}
    route53.change_resource_record_sets(HostedZoneId=zone_id, ChangeBatch={"Changes": [change]})


def look_up(route53: Any, zone_id: str, name: str) -> tuple[str, int] | None:
    """Host and TTL of the CNAME `name`, or None if there is no such record."""
    answer = route53.list_resource_record_sets(
        HostedZoneId=zone_id, StartRecordName=name, StartRecordType="CNAME", MaxItems="1"
    )
    for record in answer["ResourceRecordSets"]:
        if record["Name"].rstrip(".") == name and record["Type"] == "CNAME":
            return record["ResourceRecords"][0]["Value"].rstrip("."), int(record["TTL"])
    return None
