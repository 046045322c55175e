#!/usr/bin/env bash
# Start a release and wait for its outcome, for the workflow release.yml:  scripts/release.sh
#
#   IMAGE                       what to release: a tag, or repository@sha256:…
#   OPS_ENVIRONMENT             dev, staging or prod
#   STRATEGY, STEPS, REASON     as `ops release` takes them; empty for its own defaults
#   NAME                        of the execution: the same name and request start only once
#   PATIENCE                    seconds to wait at most [3600]
#   OPS                         the command to use [.venv/bin/ops]
#
# The outcome goes to $GITHUB_OUTPUT (execution, outcome, exit-code), if that is set. The exit code is that of `ops
# release`: 0 released, 1 failed or rolled back, 2 wrong input, 3 refused, 5 still running.
set -Eeuo pipefail
cd "$(dirname "$0")/.."

name=${NAME:-release-$(date -u +%Y%m%dT%H%M%SZ)}
: "${IMAGE:?what is to be released}" "${OPS_ENVIRONMENT:?where to}"
code=0
"${OPS:-.venv/bin/ops}" release --image "$IMAGE" --name "$name" --timeout "${PATIENCE:-3600}" \
    ${STRATEGY:+--strategy "$STRATEGY"} ${STEPS:+--steps "$STEPS"} ${REASON:+--reason "$REASON"} || code=$?
case $code in
0) outcome=released ;;
3) outcome=refused ;;
5) outcome=running ;;
*) outcome=failed ;;
esac
echo "release of $IMAGE to $OPS_ENVIRONMENT: $outcome (execution $name, exit code $code)"
printf 'execution=%s\noutcome=%s\nexit-code=%s\n' "$name" "$outcome" "$code" >>"${GITHUB_OUTPUT:-/dev/null}"
exit "$code"
