"""A local directory that a sandbox's changes go to: nothing outside it is touched.

Every path is walked from the directory's descriptor, component by component and
never through a link, whatever else happens in the directory meanwhile. A file
is written beside its place and renamed into it.
"""

import contextlib
import errno
import hashlib
import os
import stat
import uuid
from dataclasses import dataclass
from typing import IO, Iterator, Optional, Tuple

from . import _check
from ._enums import Kind
from ._errors import InvalidConfigurationError

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 256 << 10
_KINDS = {stat.S_IFREG: Kind.FILE, stat.S_IFDIR: Kind.DIRECTORY, stat.S_IFLNK: Kind.SYMLINK}


@dataclass(frozen=True)
class Entry:
    """What is at a path now; compares unequal as soon as somebody changes it."""

    # None for a socket, FIFO or device.
    kind: Optional[Kind]
    mode: int
    size: int
    mtime_ns: int
    inode: int
    target: Optional[bytes] = None


def parts(path: str) -> Tuple[bytes, ...]:
    """The components of a path that a server named; () where it would leave the directory."""
    found = tuple(os.fsencode(path).lstrip(b"/").split(b"/"))
    wrong = any(part in (b"", b".", b"..") or b"\0" in part for part in found)
    return () if wrong else found


def leads_outside(path: str, target: bytes) -> bool:
    """Whether a link at the path would lead out of the directory, going by its text."""
    if target.startswith(b"/") or not target:
        return True
    depth = len(parts(path)) - 1
    for part in target.split(b"/"):
        depth += {b"..": -1, b".": 0, b"": 0}.get(part, 1)
        if depth < 0:
            return True
    return False


class Directory:
    """One local directory. Close it, or use it in a ``with`` block."""

    def __init__(self, path: _check.Path) -> None:
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as e:
            why = (e.strerror or str(e)).lower()
            raise InvalidConfigurationError(
                f"cannot use directory {os.fsdecode(path)}: {why}"
            ) from None

    def __enter__(self) -> "Directory":
        return self

    def __exit__(self, *exc: object) -> None:
        os.close(self._fd)

    @contextlib.contextmanager
    def _parent(self, path: str, make: bool = False) -> Iterator[Tuple[int, bytes]]:
        """The directory that a path's last component is in, and that component.

        With ``make``, missing directories on the way are made.
        """
        *above, name = parts(path)
        fd = os.dup(self._fd)
        try:
            for part in above:
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, 0o777, dir_fd=fd)
                below = os.open(part, _DIRECTORY, dir_fd=fd)
                os.close(fd)
                fd = below
            yield fd, name
        finally:
            os.close(fd)

    def look(self, path: str) -> Optional[Entry]:
        """What is there; None for nothing, also where a directory above is missing."""
        try:
            with self._parent(path) as (fd, name):
                st = os.stat(name, dir_fd=fd, follow_symlinks=False)
                kind = _KINDS.get(stat.S_IFMT(st.st_mode))
                target = os.readlink(name, dir_fd=fd) if kind is Kind.SYMLINK else None
        except FileNotFoundError:
            return None
        mode = stat.S_IMODE(st.st_mode)
        return Entry(kind, mode, st.st_size, st.st_mtime_ns, st.st_ino, target)

    def blocked(self, path: str) -> bool:
        """Whether something other than a directory stands where the path's directories are."""
        try:
            self.look(path)
        except OSError as e:
            if e.errno in (errno.ENOTDIR, errno.ELOOP):
                return True
            raise
        return False

    def digest(self, path: str) -> bytes:
        """SHA-256 of the regular file there."""
        with self._parent(path) as (fd, name):
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with open(os.open(name, flags, dir_fd=fd), "rb") as f:
                found = hashlib.sha256()
                for piece in iter(lambda: f.read(_CHUNK), b""):
                    found.update(piece)
        return found.digest()

    def remove(self, path: str, kind: Optional[Kind]) -> bool:
        """False for a directory that holds something, which then stays."""
        with self._parent(path) as (fd, name):
            if kind is not Kind.DIRECTORY:
                os.unlink(name, dir_fd=fd)
                return True
            try:
                os.rmdir(name, dir_fd=fd)
            except OSError as e:
                if e.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                return False
        return True

    def make_directory(self, path: str, mode: int) -> None:
        with self._parent(path, make=True) as (fd, name), contextlib.suppress(FileExistsError):
            os.mkdir(name, mode & 0o777 | 0o700, dir_fd=fd)

    def make_link(self, path: str, target: bytes) -> None:
        """Makes a symbolic link; a file or a link that is there is replaced."""
        with self._parent(path, make=True) as (fd, name):
            draft = _draft_name()
            os.symlink(target, draft, dir_fd=fd)
            _move(fd, draft, name)

    @contextlib.contextmanager
    def replacing(self, path: str, mode: int) -> Iterator[IO[bytes]]:
        """A file to write to. It takes its place at the end of the block, unless that fails."""
        with self._parent(path, make=True) as (fd, name):
            draft = _draft_name()
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(draft, flags, mode & 0o777, dir_fd=fd), "wb") as f:
                try:
                    yield f
                    f.flush()
                except BaseException:
                    os.unlink(draft, dir_fd=fd)
                    raise
            _move(fd, draft, name)


def _draft_name() -> bytes:
    return b".agentfense-" + uuid.uuid4().hex.encode()


def _move(fd: int, draft: bytes, name: bytes) -> None:
    try:
        os.replace(draft, name, src_dir_fd=fd, dst_dir_fd=fd)
    except OSError:
        os.unlink(draft, dir_fd=fd)
        raise
