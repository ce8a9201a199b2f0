"""Runs a project's tests in a sandbox, and brings the report home.

python3 high_level.py DIRECTORY
"""

import sys

from agentfense import Sandbox

REPORT = "python3 -B -m unittest -v > /output/report.txt 2>&1; tail -1 /output/report.txt"

directory = sys.argv[1]
with Sandbox.from_local(directory, preset="agent-safe") as sandbox:
    for skipped in sandbox.codebase.skipped:
        print("left out,", skipped.reason, "-", ", ".join(skipped.paths))

    result = sandbox.run(REPORT, timeout=120, raise_on_error=True)
    print("tests:", result.stdout.strip())

    for change in sandbox.diff():
        print(change.operation, change.path, change.size, "bytes")
    applied = sandbox.apply_to(directory, ["/output"]).applied
    print("brought home:", ", ".join(change.path for change in applied))
# prints: brought home: /output/report.txt
