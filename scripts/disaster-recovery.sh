#!/usr/bin/env bash
# Back up, restore and prove it:  scripts/disaster-recovery.sh backup | restore <snapshot-id> | test
#
#   backup              what the hourly run does, now: database, cache, the cluster's configuration, Terraform's state
#                       and the service's queue; verified, and listed in a manifest in the backup bucket
#   restore <id>        database and cache of the set that the snapshot <id> belongs to (`latest`: the newest there is);
#                       verified, then the service is pointed to them once somebody has said `ops approve`
#   test                the backups are there, unchanged, readable and complete; a drill restores them apart and
#                       measures recovery time and point; every objective holds; the evidence is unbroken
#
#   OPS_ENVIRONMENT     dev, staging or prod [dev]; OPS_SERVICE, AWS_PROFILE, … as for `ops`
#   REASON              why; recorded, and required by a restore that replaces
#   ISOLATED=true       restore: stand beside production and change nothing else
#   NO_APPROVAL=true    restore: without `ops approve`; for emergencies
#   DRY_RUN=true        backup and restore: say what would be done
#   DRILL=false         test: judge by the last drill instead of running one
#   OPS                 the command to use [.venv/bin/ops]
#
# Exit codes are those of `ops` (see `ops --help`): 0 done or proven, 1 failed, 2 wrong usage, 3 refused, 4 unreachable,
# 5 timed out, 6 could not be judged. `test` goes through all its checks; its exit code is that of the first that fails.
set -Eeuo pipefail
cd "$(dirname "$0")/.."

usage() {
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "scripts/$(basename "$0")"
}
wrong() {
    { echo "disaster-recovery: $*" && echo && usage; } >&2
    exit 2
}
ops() { "${OPS:-.venv/bin/ops}" "$@"; }

for name in ISOLATED NO_APPROVAL DRY_RUN DRILL; do
    case "${!name:-false}" in
    true | false) ;;
    *) wrong "$name is '${!name}': true or false" ;;
    esac
done
dry=()
if [ "${DRY_RUN:-false}" = true ]; then dry=(--dry-run); fi

backup() {
    ops snapshot --reason "${REASON:-scripts/disaster-recovery.sh backup}" ${dry[@]+"${dry[@]}"}
    [ ${#dry[@]} -gt 0 ] || ops backups show latest
}

restore() {
    local how=()
    if [ "$1" != latest ]; then how+=(--snapshot "$1"); fi
    if [ "${ISOLATED:-false}" = false ]; then
        [ -n "${REASON:-}" ] || wrong "REASON is missing: this changes what clients reach (ISOLATED=true does not)"
        how+=(--replace)
        if [ "${NO_APPROVAL:-false}" = true ]; then how+=(--no-approval); fi
    elif [ "${NO_APPROVAL:-false}" = true ]; then
        wrong "NO_APPROVAL is for a restore that replaces; ISOLATED=true does not"
    fi
    ops restore ${how[@]+"${how[@]}"} ${dry[@]+"${dry[@]}"} --reason "${REASON:-scripts/disaster-recovery.sh restore}"
}

first_failure=0
check() { # what it shows, command…
    local what=$1 code=0
    shift
    echo
    echo "-- $what: $*"
    "$@" || code=$?
    case $code in
    0) echo "PASS          $what" ;;
    6) echo "INCONCLUSIVE  $what (exit code 6)" ;;
    *) echo "FAIL          $what (exit code $code)" ;;
    esac
    if [ "$first_failure" -eq 0 ]; then first_failure=$code; fi
}

test_recovery() {
    check "backups are listed, and no manifest was changed" ops backups
    check "the newest manifest can be read" ops backups show latest
    if [ "${DRILL:-true}" = true ]; then
        check "a drill passes: recovery time and point" ops drill --reason "${REASON:-scripts/disaster-recovery.sh test}"
    fi
    check "every recovery objective holds" ops objectives --now
    check "the evidence is unbroken" ops evidence verify
    echo
    if [ "$first_failure" -eq 0 ]; then echo "recovery is proven"; else echo "recovery is NOT proven"; fi
    return "$first_failure"
}

command=${1:-}
case "$command:$#" in
backup:1) backup ;;
restore:2)
    [ -n "$2" ] || wrong "restore needs a snapshot: \`ops backups show latest\` has the names"
    restore "$2"
    ;;
restore:*) wrong "restore needs one snapshot: \`ops backups show latest\` has the names" ;;
test:1) test_recovery ;;
-h:1 | --help:1) usage ;;
:0) wrong "what is to be done?" ;;
*) wrong "'$*' is not understood" ;;
esac
