"""The code blocks of the guides, with what the comments above them say.

A block is run unless a comment right above it says otherwise, as in the READMEs:

    <!-- test: skip REASON -->
    <!-- test: prints TEXT -->
    <!-- test: exits 3 -->
"""

import pathlib
import re
from dataclasses import dataclass, field
from typing import Dict, List

ROOT = pathlib.Path(__file__).resolve().parents[3]
GUIDES = sorted(
    path
    for directory in ("docs/sdk", "docs/getting-started")
    for path in (ROOT / directory).rglob("*.md")
    if path.name != "reference.md"
)
_DIRECTIVE = re.compile(r"<!-- test: (skip|prints|exits) (.+) -->$")


@dataclass
class Block:
    where: str
    language: str = ""
    told: Dict[str, str] = field(default_factory=dict)
    code: str = ""


def blocks(path: pathlib.Path) -> List[Block]:
    found: List[Block] = []
    told: Dict[str, str] = {}
    inside = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        directive = _DIRECTIVE.match(line)
        if inside and line != "```":
            found[-1].code += line + "\n"
        elif line.startswith("```"):
            inside = not inside
            if inside:
                where = f"{path.relative_to(ROOT)}:{number}"
                found.append(Block(where, line[3:], told))
                told = {}
        elif directive:
            told[directive.group(1)] = directive.group(2)
        elif line:
            assert not told, f"{path}:{number}: a test comment belongs right above a code block"
    return found
