"""Look for secrets in what git keeps; nothing is sent anywhere.

    .venv-checkov/bin/python scripts/scan_secrets.py [FILE…]

The detectors are those of detect-secrets (https://github.com/Yelp/detect-secrets), none of which verifies what it finds
with anybody. Tests and the sandbox are full of invented passwords, so there only formats are looked for that nothing
invents by chance: access keys, tokens, private keys, credentials in URLs. What is found and is no secret stands in
`.secrets-allowed.yaml` with the reason; an entry that nothing needs is a problem, too. Exits 1 if there is one.
"""

import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml
from detect_secrets import SecretsCollection
from detect_secrets.settings import default_settings, transient_settings

ROOT = Path(__file__).parents[1]
ALLOWED = ROOT / ".secrets-allowed.yaml"
INVENTED = ("tests/", "sandbox/")
GUESSING = frozenset({"KeywordDetector", "Base64HighEntropyString", "HexHighEntropyString"})
# Hashes of packages and of findings, and names of a provider's attributes: long, and without any text of ours.
SKIPPED = (".secrets-allowed.yaml", "requirements/", "tests/infrastructure/provider/")

Finding = tuple[str, str, str]
"""File, kind and SHA-1 of what was found, as detect-secrets has it in a baseline."""


def kept() -> list[str]:
    """What git has in the working tree, by path."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S607
    paths = (path for path in listed.stdout.split("\0") if path and not path.startswith(SKIPPED))
    return [path for path in paths if (ROOT / path).is_file()]


def scan(paths: Iterable[str]) -> Iterator[tuple[Finding, int]]:
    """Each finding with its line."""
    with default_settings() as settings:
        detectors = sorted(settings.plugins)
        filters = [{"path": name} for name in settings.filters if "verify" not in name]
    invented: dict[bool, list[str]] = {True: [], False: []}
    for path in paths:
        invented[path.startswith(INVENTED)].append(path)
    for guess, chosen in ((False, invented[True]), (True, invented[False])):
        plugins = [{"name": name} for name in detectors if guess or name not in GUESSING]
        with transient_settings({"plugins_used": plugins, "filters_used": filters}):
            found = SecretsCollection(root=str(ROOT))
            for path in chosen:
                found.scan_file(path)
            for path, secret in found:
                yield (path, secret.type, secret.secret_hash), secret.line_number


def allowed() -> dict[Finding, str]:
    """What is known to be no secret, with the reason."""
    entries = yaml.safe_load(ALLOWED.read_text(encoding="utf-8"))
    return {(entry["file"], entry["kind"], entry["sha1"]): entry["why"] for entry in entries}


def main() -> int:
    """Scan the given files, or all of them; 1 if there is something to be done."""
    given = sys.argv[1:]
    found = dict(scan(given or kept()))
    known = allowed()
    for (path, kind, sha1), line in sorted(found.items()):
        if (path, kind, sha1) not in known:
            sys.stderr.write(f"{path}:{line}: {kind} (if it is none: .secrets-allowed.yaml, sha1 {sha1})\n")
    forgotten = [] if given else sorted(known.keys() - found.keys())
    for path, kind, _ in forgotten:
        sys.stderr.write(f".secrets-allowed.yaml: nothing of the kind {kind} in {path} any more\n")
    return 1 if forgotten or found.keys() - known.keys() else 0


if __name__ == "__main__":
    sys.exit(main())
