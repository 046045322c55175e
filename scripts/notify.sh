#!/usr/bin/env bash
# One message about the end of a workflow, to Slack:  scripts/notify.sh
#
#   SLACK_WEBHOOK_URL   an incoming webhook; without, the message is only printed
#   RESULTS             JSON of the workflow's jobs: toJSON(needs)
#   GITHUB_…            what, who and where, as GitHub sets them
#
# The webhook's address is a secret: curl gets it on its standard input, where no list of processes shows it.
set -Eeuo pipefail

message=$(
    python3 - <<'PYTHON'
import json
import os

results = {name: job["result"] for name, job in json.loads(os.environ["RESULTS"]).items()}
bad = {name: result for name, result in results.items() if result in ("failure", "cancelled")}
done = [name for name, result in results.items() if result == "success"]
get = os.environ.get
run = f"{get('GITHUB_SERVER_URL')}/{get('GITHUB_REPOSITORY')}/actions/runs/{get('GITHUB_RUN_ID')}"
what = f"{get('GITHUB_WORKFLOW')} of {get('GITHUB_REPOSITORY')}@{(get('GITHUB_SHA') or '')[:12]} by {get('GITHUB_ACTOR')}"
verdict = "failed: " + ", ".join(f"{name} ({result})" for name, result in bad.items()) if bad else "succeeded"
lines = [f"{what} {verdict}", f"done: {', '.join(done) or 'nothing'}", run]
print(json.dumps({"text": "\n".join(lines)}))
PYTHON
)
echo "$message"
[ -n "${SLACK_WEBHOOK_URL:-}" ] || { echo "notify: no SLACK_WEBHOOK_URL, so nobody is told" && exit 0; }
curl --fail --silent --show-error --max-time 20 --retry 3 --output /dev/null \
    --header "Content-Type: application/json" --data "$message" --config - <<CONFIG
url = "$SLACK_WEBHOOK_URL"
CONFIG
