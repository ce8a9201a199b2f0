"""A local directory as UploadTree wants it: a manifest, digests, contents.

Nothing here talks to a server. A file that changed since it was listed raises
:class:`Changed`; the caller then starts again with a new walk, so no file is
stored torn.
"""

import errno
import hashlib
import os
import stat
from dataclasses import dataclass, field
from typing import Iterator, List, Optional, Sequence

from ._errors import UploadError
from ._gen import codebase_pb2 as cb

IGNORE_FILE = b".sandboxignore"
_CHUNK = 256 << 10
_BATCH = 512 << 10
_SKIPPED_NAMES = 100


class Changed(Exception):
    """The file at ``path`` is not what the manifest says of it."""

    def __init__(self, path: bytes) -> None:
        super().__init__(path)
        self.path = path


@dataclass
class Walk:
    """One directory, parents before children, names in the order of their bytes."""

    root: bytes
    entries: List[cb.TreeEntry] = field(default_factory=list)
    # Sockets, devices and FIFOs.
    special: List[bytes] = field(default_factory=list)
    # What the .sandboxignore files say, as patterns relative to the root.
    ignore: List[str] = field(default_factory=list)


def walk(root: bytes) -> Walk:
    """Lists the directory; an entry that cannot be listed is an UploadError."""
    found = Walk(root)
    pending = [b""]
    while pending:
        directory = pending.pop()
        below = _list(found, directory)
        pending.extend(reversed(below))
    return found


def _list(found: Walk, directory: bytes) -> List[bytes]:
    prefix = directory + b"/" if directory else b""
    full = os.path.join(found.root, directory) if directory else found.root
    below = []
    try:
        names = sorted(os.listdir(full))
        if IGNORE_FILE in names:
            found.ignore.extend(_ignore_patterns(os.path.join(full, IGNORE_FILE), directory))
        for name in names:
            path = prefix + name
            entry = _entry(os.path.join(full, name), path)
            if entry is None:
                found.special.append(path)
                continue
            found.entries.append(entry)
            if entry.kind == cb.TreeEntry.KIND_DIRECTORY:
                below.append(path)
    except OSError as e:
        raise unreadable(e, directory) from None
    return below


def _entry(full: bytes, path: bytes) -> Optional[cb.TreeEntry]:
    st = os.lstat(full)
    entry = cb.TreeEntry(path=path, mode=stat.S_IMODE(st.st_mode) & 0o777, mtime_ns=st.st_mtime_ns)
    if stat.S_ISREG(st.st_mode):
        entry.kind = cb.TreeEntry.KIND_FILE
        entry.size = st.st_size
    elif stat.S_ISDIR(st.st_mode):
        entry.kind = cb.TreeEntry.KIND_DIRECTORY
    elif stat.S_ISLNK(st.st_mode):
        entry.kind = cb.TreeEntry.KIND_SYMLINK
        entry.symlink_target = os.readlink(full)
    else:
        return None
    return entry


def unreadable(error: OSError, path: bytes) -> UploadError:
    name = error.filename if error.filename is not None else path
    shown = os.fsdecode(name) if isinstance(name, (str, bytes)) else os.fsdecode(path)
    return UploadError(f"cannot read {shown}: {error.strerror}", file_path=shown)


def _ignore_patterns(file: bytes, directory: bytes) -> Iterator[str]:
    if not stat.S_ISREG(os.lstat(file).st_mode):
        return
    with open(file, encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            pattern = anchored(line.rstrip("\n"), os.fsdecode(directory))
            if pattern:
                yield pattern


def anchored(line: str, directory: str) -> str:
    """One line of an ignore file in ``directory``, as one of a file in the root."""
    if not line.strip() or line.startswith("#"):
        return ""
    if not directory:
        return line
    negated = line.startswith("!")
    pattern = line[1:] if negated else line
    parent = "".join("\\" + c if c in "\\*?[]!# " else c for c in directory)
    if "/" in pattern.rstrip().rstrip("/"):
        pattern = f"/{parent}/{pattern.lstrip('/')}"
    else:
        pattern = f"/{parent}/**/{pattern}"
    return "!" + pattern if negated else pattern


def manifest(entries: Sequence[cb.TreeEntry]) -> Iterator[cb.UploadTreeRequest]:
    """The entries in messages of bounded size; the last one says so."""
    request = cb.UploadTreeRequest()
    request.manifest.SetInParent()
    size = 0
    for entry in entries:
        length = entry.ByteSize() + 8
        if size + length > _BATCH:
            yield request
            request, size = cb.UploadTreeRequest(), 0
        request.manifest.entries.append(entry)
        size += length
    request.manifest.last = True
    yield request


def _open(root: bytes, entry: cb.TreeEntry) -> int:
    try:
        fd = os.open(os.path.join(root, entry.path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as e:
        if e.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO):
            raise Changed(entry.path) from None
        raise unreadable(e, entry.path) from None
    st = os.fstat(fd)
    if not stat.S_ISREG(st.st_mode) or (st.st_size, st.st_mtime_ns) != (entry.size, entry.mtime_ns):
        os.close(fd)
        raise Changed(entry.path)
    return fd


def read(root: bytes, entry: cb.TreeEntry) -> Iterator[bytes]:
    """The content of a listed file in pieces; Changed if it is another by now."""
    fd = _open(root, entry)
    try:
        left = entry.size
        while True:
            data = os.read(fd, _CHUNK)
            if not data:
                break
            left -= len(data)
            yield data
        st = os.fstat(fd)
        if left or (st.st_size, st.st_mtime_ns) != (entry.size, entry.mtime_ns):
            raise Changed(entry.path)
    except OSError as e:
        raise unreadable(e, entry.path) from None
    finally:
        os.close(fd)


def digest(root: bytes, entry: cb.TreeEntry) -> bytes:
    sha = hashlib.sha256()
    for data in read(root, entry):
        sha.update(data)
    return sha.digest()


def contents(root: bytes, entry: cb.TreeEntry, expected: bytes) -> Iterator[cb.UploadTreeRequest]:
    """The file's content in messages; Changed if it does not have that digest."""
    sha = hashlib.sha256()
    for data in read(root, entry):
        sha.update(data)
        yield cb.UploadTreeRequest(content=cb.UploadTreeRequest.Content(data=data))
    if sha.digest() != expected:
        raise Changed(entry.path)
    yield cb.UploadTreeRequest(content=cb.UploadTreeRequest.Content(end_of_file=True))


def digests(batch: Sequence[bytes], last: bool) -> cb.UploadTreeRequest:
    return cb.UploadTreeRequest(digests=cb.UploadTreeRequest.Digests(sha256=batch, last=last))


def add_special(result: cb.IngestResult, special: Sequence[bytes]) -> None:
    """Notes in the result what the walk left out before the server saw it."""
    if special:
        result.skipped.add(
            reason=cb.SkippedEntries.REASON_SPECIAL,
            count=len(special),
            paths=special[:_SKIPPED_NAMES],
        )
