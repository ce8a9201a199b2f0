"""The loop of an AI agent: a model asks for commands, a sandbox runs them.

    python3 agent_loop.py DIRECTORY

The model here is scripted, so that the program needs no network and no key: it
says what a real one says, and reads what a real one reads. To use a real one,
replace `ScriptedModel` by a class with the same method.
"""

import json
import sys
from dataclasses import dataclass
from typing import Dict, List

from agentfense import CommandTimeoutError, Sandbox, SandboxSession

TASK = "Find out which currencies the shop knows, and report to /output/report.md."
# A model gets the begin and the end of long output.
LONGEST = 4000

Message = Dict[str, str]


@dataclass(frozen=True)
class Turn:
    """What a model wants: to say something, and to run a command or to stop."""

    thought: str
    command: str = ""


class ScriptedModel:
    """Answers like a model that explores, oversteps, is refused, and comes round."""

    def __init__(self) -> None:
        self._turns = [
            Turn("I look around.", "ls -A; wc -l shop/*.py"),
            Turn("There may be a configuration.", "cat .env secrets/token.txt"),
            Turn("None. I change the code to print it.", "echo 'print(1)' >> shop/cart.py"),
            Turn("It is read-only. I search it.", "cd shop && grep -rniE 'eur|usd|currency' ."),
            Turn("I wait for an input that never comes.", "sleep 600"),
            Turn("I write the report.", "grep -ciE 'eur|usd|currency' *.py > /output/report.md"),
            Turn("The tests should still pass.", "cd .. && python3 -B -m unittest 2>&1 | tail -1"),
        ]

    def next(self, messages: List[Message]) -> Turn:
        asked = sum(message["role"] == "assistant" for message in messages)
        return self._turns[asked] if asked < len(self._turns) else Turn("Done.")


def shortened(text: str) -> str:
    half = LONGEST // 2
    return text if len(text) <= LONGEST else f"{text[:half]}\n[...]\n{text[-half:]}"


def act(session: SandboxSession, command: str) -> str:
    """Runs one command; what comes back is for the model to read."""
    try:
        result = session.exec(command, timeout=2)
    except CommandTimeoutError as e:
        return json.dumps({"error": f"no end after {e.timeout_seconds} s; it was interrupted"})
    return json.dumps(
        {
            "exit_code": result.exit_code,
            "output": shortened(result.output),
            "refused": [denial.hint for denial in result.denials],
        }
    )


def work(sandbox: Sandbox, model: ScriptedModel) -> None:
    messages: List[Message] = [{"role": "user", "content": TASK}]
    with sandbox.session() as session:
        for _ in range(20):
            turn = model.next(messages)
            print("model:", turn.thought)
            messages.append({"role": "assistant", "content": turn.thought})
            if not turn.command:
                return
            answer = act(session, turn.command)
            print(f"$ {turn.command}\n{answer}")
            messages.append({"role": "tool", "content": answer})
    print("the model did not come to an end")


def main(directory: str) -> None:
    with Sandbox.from_local(directory, preset="agent-safe", idle_timeout=600) as sandbox:
        work(sandbox, ScriptedModel())
        changes = sandbox.diff()
        print("the agent changed:", ", ".join(change.path for change in changes))
        print(sandbox.read_file("/output/report.md"))


main(sys.argv[1])
# prints: the agent changed: /output/report.md
