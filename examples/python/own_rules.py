"""Lets a program see the code but not the tests, and write in one directory only.

python3 own_rules.py DIRECTORY
"""

import sys

from agentfense import Permission, PermissionRule, Sandbox

RULES = [
    PermissionRule("**/tests/**", Permission.NONE),
    PermissionRule("**/secrets/**", Permission.NONE),
    PermissionRule("/reports/**", Permission.WRITE),
]
TRIES = ["ls", "ls tests", "cat secrets/token.txt", "touch shop/new.py", "touch reports/new"]

with Sandbox.from_local(sys.argv[1], preset="read-only", permissions=RULES) as sandbox:
    for command in TRIES:
        result = sandbox.run(command)
        print(f"$ {command}\n{result.output}", end="")
        for denial in result.denials:
            print(f"  refused by {denial.rule}: {denial.hint}")
    print("changed:", ", ".join(change.path for change in sandbox.diff()))
# prints: changed: /reports/new
