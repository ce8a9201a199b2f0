"""What the kernel says of processes: memory, descriptors, children, mounts."""

import os
import pathlib
import statistics
from dataclasses import dataclass
from typing import Dict, List

PROC = pathlib.Path("/proc")


@dataclass(frozen=True)
class Sample:
    """One look at a process and all that descends from it."""

    rss: int  # KiB, of the process itself
    threads: int
    fds: int
    children: int
    mounts: int


def look(pid: int) -> Sample:
    status = dict(
        line.split(":", 1) for line in (PROC / str(pid) / "status").read_text().splitlines()
    )
    return Sample(
        rss=int(status["VmRSS"].split()[0]),
        threads=int(status["Threads"]),
        fds=len(os.listdir(PROC / str(pid) / "fd")),
        children=len(descendants(pid)),
        mounts=(PROC / str(pid) / "mountinfo").read_text().count("\n"),
    )


def descendants(pid: int) -> List[int]:
    """The ids of all that a process has started and that still runs."""
    below: Dict[int, List[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parent = int(stat.rpartition(")")[2].split()[1])
            below.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        children = below.get(todo.pop(), [])
        found += children
        todo += children
    return found


def commands(pids: List[int]) -> List[str]:
    """The command lines of processes, without those that are gone."""
    lines = []
    for pid in pids:
        try:
            raw = (PROC / str(pid) / "cmdline").read_bytes()
        except OSError:
            continue
        if raw:
            lines.append(raw.replace(b"\0", b" ").decode(errors="replace").strip())
    return lines


def middle(samples: List[Sample]) -> Sample:
    """The median of each figure."""
    return Sample(
        *(
            int(statistics.median(getattr(s, field) for s in samples))
            for field in Sample.__dataclass_fields__
        )
    )
