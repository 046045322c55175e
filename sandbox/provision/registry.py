"""The registry of the service's images."""

from botocore.exceptions import ClientError

from sandbox.provision.clients import Clients, tags


def provision(clients: Clients) -> str:
    """Create the repository, or find it; returns its ARN. Its name is the service's."""
    ecr, name = clients["ecr"], clients.config.service
    try:
        found = ecr.describe_repositories(repositoryNames=[name])["repositories"][0]
    except ClientError as error:
        if error.response["Error"]["Code"] != "RepositoryNotFoundException":
            raise
        found = ecr.create_repository(
            repositoryName=name,
            imageTagMutability="IMMUTABLE",
            imageScanningConfiguration={"scanOnPush": True},
            tags=tags(clients.config),
        )["repository"]
    return str(found["repositoryArn"])
