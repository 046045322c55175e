"""A Kubernetes client of the sandbox's administrator."""

from lightkube import Client
from lightkube.config.kubeconfig import KubeConfig
from lightkube.config.models import Cluster, Context, User

from sandbox.config import Config
from sandbox.kubernetes import admin_token


def administrator(config: Config) -> Client:
    """A lightkube client that may do everything. Needs the cluster to have been started (it writes the token)."""
    kube_config = KubeConfig(
        clusters={"sandbox": Cluster(server=config.kubernetes_url, certificate_auth=str(config.tls_dir / "ca.pem"))},
        users={"administrator": User(token=admin_token.read(config.dir))},
        contexts={"sandbox": Context(cluster="sandbox", user="administrator")},
        current_context="sandbox",
    )
    return Client(config=kube_config.get(), trust_env=False)
