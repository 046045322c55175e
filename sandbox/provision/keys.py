"""The customer-managed KMS keys of what holds data."""

from dataclasses import dataclass

from botocore.exceptions import ClientError

from sandbox.provision.clients import Clients, tags


@dataclass(frozen=True, slots=True)
class Keys:
    """ARNs of the keys."""

    database: str
    cache: str
    backup: str


def provision(clients: Clients) -> Keys:
    """Create the keys, or find those that are there by their aliases."""
    return Keys(**{purpose: _key(clients, purpose) for purpose in ("database", "cache", "backup")})


def _key(clients: Clients, purpose: str) -> str:
    kms, config = clients["kms"], clients.config
    alias = f"alias/{config.name}-{purpose}"
    try:
        return str(kms.describe_key(KeyId=alias)["KeyMetadata"]["Arn"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "NotFoundException":
            raise
    own = [{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in tags(config)]
    made = kms.create_key(Description=f"{purpose.capitalize()} of {config.name}", Tags=own)["KeyMetadata"]
    kms.create_alias(AliasName=alias, TargetKeyId=made["KeyId"])
    return str(made["Arn"])
