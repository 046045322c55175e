"""What the roles of template.yaml allow, against what a test run in the sandbox used: `make policy-report`.

`docs/policy-use.json` keeps what was used; `docs/policy-explained.yaml` says why the rest is allowed; the page
`docs/policy-use.md` shows both. tests/contract/test_policy_use.py fails on what is neither used nor explained.
"""
