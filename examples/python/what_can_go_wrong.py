"""Meets the usual errors on purpose, and tells them apart by class and attributes.

python3 what_can_go_wrong.py DIRECTORY
"""

import sys

from agentfense import (
    CommandExecutionError,
    CommandTimeoutError,
    FileNotFoundError,
    PermissionDeniedError,
    Sandbox,
    SandboxError,
    SandboxNotRunningError,
)


def meet(call):
    try:
        call()
    except CommandTimeoutError as e:
        print(f"{e.command!r} ran longer than {e.timeout_seconds} s")
    except CommandExecutionError as e:
        print(f"{e.command!r} ended with {e.exit_code}: {e.stderr.strip()}")
    except PermissionDeniedError as e:
        print(f"may not {e.operation} {e.path}, because of {e.rule}")
    except FileNotFoundError as e:
        print(f"no file {e.file_path}")
    except SandboxNotRunningError as e:
        print(f"the sandbox is {e.current_status}")
    except SandboxError as e:
        print(f"{e.reason}: {e}")


with Sandbox.from_local(sys.argv[1], preset="agent-safe") as sandbox:
    meet(lambda: sandbox.run("sleep 60", timeout=0.5))
    meet(lambda: sandbox.run("echo no rule for it >&2; exit 2", raise_on_error=True))
    meet(lambda: sandbox.write_file("README.md", "mine"))
    meet(lambda: sandbox.read_file(".env"))
    meet(lambda: sandbox.stop() and sandbox.run("true"))
# prints: the sandbox is stopped
