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
from typing import Dict, Generator, Iterator, List, Sequence, Tuple

from ._errors import UploadError
from ._gen import codebase_pb2 as cb

IGNORE_FILE = b".sandboxignore"
_CHUNK = 256 << 10
_BATCH = 64 << 10
# How many entries are looked at in one go.
_STEP = 64
# Bytes of an ignore file that a server takes.
_PATTERNS = 1 << 20


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
    # Numbers of files with several names, by device and inode.
    links: Dict[Tuple[int, int], int] = field(default_factory=dict)


def walk(root: bytes) -> Generator[None, None, Walk]:
    """Lists the directory; an entry that cannot be looked at is an UploadError.

    A directory below it that may not be listed is told as such, for it may be one
    that is left out. It stops on the way after every piece of work.
    """
    found = Walk(root)
    pending = [cb.TreeEntry()]
    while pending:
        below = yield from _list(found, pending.pop())
        pending.extend(reversed(below))
    return found


def _list(found: Walk, directory: cb.TreeEntry) -> Generator[None, None, List[cb.TreeEntry]]:
    prefix = directory.path + b"/" if directory.path else b""
    full = os.path.join(found.root, directory.path) if prefix else found.root
    below = []
    try:
        for number, name in enumerate(sorted(os.listdir(full))):
            if number % _STEP == 0:
                yield
            path = prefix + name
            entry = _entry(found, path)
            found.entries.append(entry)
            if entry.kind == cb.TreeEntry.KIND_DIRECTORY:
                below.append(entry)
    except PermissionError as e:
        if not directory.path:
            raise unreadable(e, directory.path) from None
        directory.unreadable = True
    except OSError as e:
        raise unreadable(e, directory.path) from None
    return below


def _entry(found: Walk, path: bytes) -> cb.TreeEntry:
    full = os.path.join(found.root, path)
    st = os.lstat(full)
    entry = cb.TreeEntry(path=path, mode=stat.S_IMODE(st.st_mode) & 0o777, mtime_ns=st.st_mtime_ns)
    if stat.S_ISREG(st.st_mode):
        entry.kind = cb.TreeEntry.KIND_FILE
        entry.size = st.st_size
        if os.path.basename(path) == IGNORE_FILE and st.st_size <= _PATTERNS:
            entry.patterns = _patterns(found.root, entry)
        if st.st_nlink > 1:
            entry.links = st.st_nlink
            entry.link = found.links.setdefault((st.st_dev, st.st_ino), len(found.links) + 1)
    elif stat.S_ISDIR(st.st_mode):
        entry.kind = cb.TreeEntry.KIND_DIRECTORY
    elif stat.S_ISLNK(st.st_mode):
        entry.kind = cb.TreeEntry.KIND_SYMLINK
        entry.symlink_target = os.readlink(full)
    else:
        entry.kind = cb.TreeEntry.KIND_SPECIAL
    return entry


def _patterns(root: bytes, entry: cb.TreeEntry) -> bytes:
    """The content of an ignore file; one that may not be read counts if it is asked for."""
    try:
        return b"".join(read(root, entry))
    except UploadError:
        return b""


def unreadable(error: OSError, path: bytes) -> UploadError:
    name = error.filename if error.filename is not None else path
    shown = os.fsdecode(name) if isinstance(name, (str, bytes)) else os.fsdecode(path)
    return UploadError(f"cannot read {shown}: {error.strerror}", file_path=shown)


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


def digest(root: bytes, entry: cb.TreeEntry) -> Generator[None, None, bytes]:
    """The file's digest. It stops on the way after every piece."""
    sha = hashlib.sha256()
    for data in read(root, entry):
        sha.update(data)
        yield
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
