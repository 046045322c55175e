"""Apply the service's manifests to the cluster that kubectl is set to:  scripts/apply_manifests.py ENVIRONMENT

Image and number of pods belong to releases and autoscalers, so those of a Deployment that is there are applied as they
are. Should one of the two change them meanwhile, the API refuses (409) and leaves the Deployment as it was: run it
again. Never with --force-conflicts: it takes pods from a live colour. What changes a template rolls both colours,
one pod at a time; a release that runs meanwhile waits for it, and may run out of time.

Needs kubectl ($KUBECTL), and Terraform's outputs ($TERRAFORM, or their JSON in a file). For the first time it also
needs the image to start with; later, what else wants one (the queue's dump) gets that which runs in most pods.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from string import Template
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
CONTAINER = "app"
KUBECTL = os.environ.get("KUBECTL", "kubectl")
TERRAFORM = os.environ.get("TERRAFORM", "terraform")
COLOURS = ("blue", "green")
FIELD_MANAGER = "detection-ops-provision"

Live = dict[str, tuple[str, int]]
"""Image and number of pods of each colour that is there."""


def run(*command: str, given: str | None = None) -> str:
    """What a command prints; its error is the user's to read."""
    done = subprocess.run(command, input=given, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout


def values(file: Path | None) -> dict[str, str]:
    """What Terraform fills in."""
    terraform = (TERRAFORM, f"-chdir={ROOT / 'terraform'}", "output", "-json", "manifest_values")
    found: dict[str, str] = json.loads(file.read_text(encoding="utf-8") if file else run(*terraform))
    return found


def live(service: str) -> Live:
    """What runs now."""
    found: Live = {}
    for colour in COLOURS:
        name = f"deployment/{service}-{colour}"
        text = run(KUBECTL, "get", name, "--namespace", service, "--ignore-not-found", "--output", "json")
        if text.strip():
            spec: dict[str, Any] = json.loads(text)["spec"]
            containers = spec["template"]["spec"]["containers"]
            images = {each["name"]: each["image"] for each in containers}
            found[colour] = images[CONTAINER], spec["replicas"]
    return found


def kustomization(environment: str, running: Live) -> dict[str, Any]:
    """The environment's overlay, with what runs in place of what it would start with."""
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        # As the overlays: bindings before the Deployments whose pods need their gates.
        "sortOptions": {"order": "fifo"},
        "resources": [f"../../../kubernetes/overlays/{environment}"],
        "patches": [
            {
                "patch": json.dumps(
                    {
                        "apiVersion": "apps/v1",
                        "kind": "Deployment",
                        # By the name as the base has it, before it is filled in.
                        "metadata": {"name": f"${{SERVICE}}-{colour}"},
                        "spec": {
                            "replicas": replicas,
                            "template": {"spec": {"containers": [{"name": CONTAINER, "image": image}]}},
                        },
                    }
                ),
            }
            for colour, (image, replicas) in running.items()
        ],
    }


def fill(manifests: str, given: dict[str, str]) -> str:
    """YAML with its placeholders filled; raises KeyError for one that has no value.

    As JSON, where a string keeps its quotes: kubectl leaves out those that YAML does not need, and a `${CACHE_TLS}`
    that is filled with `true` would no longer be a string, which the API refuses in a ConfigMap.
    """
    documents = "\n---\n".join(json.dumps(each) for each in yaml.safe_load_all(manifests) if each)
    return Template(documents).substitute({name: json.dumps(value)[1:-1] for name, value in given.items()})


def main() -> None:
    """Render, fill in, apply."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environment", choices=("dev", "staging", "prod"))
    parser.add_argument("--image", help="registry/repository@sha256:… that the colours start with")
    parser.add_argument("--values", type=Path, help="JSON of `terraform output -json manifest_values`")
    parser.add_argument("--dry-run", action="store_true", help="have the API check everything and change nothing")
    options = parser.parse_args()

    filled = values(options.values)
    if "SERVICE" not in filled:
        sys.exit("Terraform's output manifest_values has no 'SERVICE': apply this version of terraform/ first")
    running = live(filled["SERVICE"])
    image = options.image or max(running.values(), key=lambda each: each[1], default=("", 0))[0]
    if not image:
        parser.error("nothing runs yet: say with --image what to start with")
    folder = ROOT / "out/kubernetes" / options.environment
    folder.mkdir(parents=True, exist_ok=True)
    # JSON is YAML.
    document = json.dumps(kustomization(options.environment, running), indent=2)
    (folder / "kustomization.yaml").write_text(document, encoding="utf-8")
    try:
        text = fill(run(KUBECTL, "kustomize", str(folder)), filled | {"IMAGE": image})
    except KeyError as missing:
        sys.exit(f"Terraform's output manifest_values has no {missing}: apply this version of terraform/ first")
    dry = ["--dry-run=server"] if options.dry_run else []
    apply = (KUBECTL, "apply", "--server-side", f"--field-manager={FIELD_MANAGER}", *dry, "--filename", "-")
    print(run(*apply, given=text), end="")  # noqa: T201


if __name__ == "__main__":
    main()
