"""Works step by step in one shell: a virtual environment, variables, a background job.

python3 a_shell_that_lasts.py DIRECTORY
"""

import sys

from agentfense import CommandTimeoutError, Sandbox

STEPS = [
    "cd /output && python3 -m venv --without-pip venv",
    "source venv/bin/activate",
    "export DEBUG=1",
    "cd /workspace",
    "sleep 100 &",
]

with Sandbox.from_local(sys.argv[1], preset="agent-safe") as sandbox, sandbox.session() as session:
    for step in STEPS:
        session.exec(step, timeout=60, raise_on_error=True)
    print(session.exec("pwd; command -v python; jobs").stdout)
    try:
        session.exec("python -c 'while True: pass'", timeout=0.5)
    except CommandTimeoutError as e:
        print("gave up after", e.timeout_seconds, "s")
    print("still in the environment:", session.exec("echo $VIRTUAL_ENV").stdout.strip())
# prints: still in the environment: /workspace/output/venv
