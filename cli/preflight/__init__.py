"""`ops preflight`: the deployment validation checklist (specification, section 11), checked by itself.

`check.py` says what a check is, `checklist.py` lists them all, `running.py` runs them side by side. Each group's module
reads; what it then judges by is in `rules/`, in pure functions of what was read and the time.
"""
