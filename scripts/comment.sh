#!/usr/bin/env bash
# Put a file into one comment of a pull request, and renew it there:  scripts/comment.sh NUMBER TITLE FILE
#
# Needs the GitHub CLI with GH_TOKEN and GITHUB_REPOSITORY, as in a workflow. What is too long for a comment is cut;
# the whole is in the run's artifacts.
set -Eeuo pipefail

[ $# -eq 3 ] || { echo "usage: scripts/comment.sh NUMBER TITLE FILE" >&2 && exit 2; }
number=$1 title=$2 file=$3
limit=60000
marker="<!-- detection-ops: $title -->"
body=$(mktemp)
trap 'rm -f "$body"' EXIT
{
    printf '%s\n### %s\n\n' "$marker" "$title"
    grep -E '^(Plan:|No changes)' "$file" || true
    # Four backticks: what is quoted may have three.
    printf '\n<details><summary>All of it</summary>\n\n````text\n'
    head -c "$limit" "$file"
    printf '\n````\n\n</details>\n'
    if [ "$(wc -c <"$file")" -gt "$limit" ]; then echo "Cut after $limit bytes; the whole is in the run's artifacts."; fi
} >"$body"
comments=repos/$GITHUB_REPOSITORY/issues/$number/comments
old=$(gh api --paginate "$comments" --jq ".[] | select(.body | startswith(\"$marker\")) | .id" | head -n 1)
if [ -n "$old" ]; then
    gh api --method PATCH "repos/$GITHUB_REPOSITORY/issues/comments/$old" --field "body=@$body" --silent
else
    gh api --method POST "$comments" --field "body=@$body" --silent
fi
