"""A local directory as a target, without a server."""

import os

import pytest

from agentfense import InvalidConfigurationError
from agentfense._enums import Kind
from agentfense._local import Directory, leads_outside, parts


@pytest.fixture
def place(tmp_path):
    (tmp_path / "outside").mkdir()
    root = tmp_path / "root"
    (root / "d").mkdir(parents=True)
    (root / "f").write_text("x")
    (root / "out").symlink_to("../outside")
    (root / "loop").symlink_to("loop")
    return root


@pytest.mark.parametrize(
    "path", ["", "/", "..", "/../x", "a/../b", "a//b", "a/./b", "a/", "a\0b", "/a/.."]
)
def test_a_path_that_is_none_has_no_parts(path):
    assert parts(path) == ()


def test_parts_are_bytes():
    assert parts("/a/\udcff") == (b"a", b"\xff")


@pytest.mark.parametrize(
    "path, target, outside",
    [
        ("/a", b"b", False),
        ("/d/a", b"../b", False),
        ("/d/a", b"../../b", True),
        ("/a", b"..", True),
        ("/a", b"/etc/passwd", True),
        ("/a", b"/workspace/b", True),
        ("/a", b"b/../../c", True),
        ("/a", b"./b/./c/..", False),
        ("/a", b"", True),
    ],
)
def test_links_that_lead_outside_are_known_by_their_text(path, target, outside):
    assert leads_outside(path, target) is outside


def test_looking(place):
    with Directory(place) as d:
        assert d.look("f").kind is Kind.FILE and d.look("/d").kind is Kind.DIRECTORY
        assert (d.look("out").kind, d.look("out").target) == (Kind.SYMLINK, b"../outside")
        assert d.look("gone") is d.look("gone/x") is None
        before = d.look("f")
        assert before == d.look("f")
        (place / "f").write_text("y")
        assert before != d.look("f")
        os.mkfifo(place / "pipe")
        assert d.look("pipe").kind is None


@pytest.mark.parametrize("path", ["out/x", "f/x", "loop/x"])
def test_nothing_is_reached_through_a_link_or_a_file(place, path):
    with Directory(place) as d:
        assert d.blocked(path) and not d.blocked("d/x") and not d.blocked("gone/x")
        for call in (
            lambda: d.make_directory(path, 0o755),
            lambda: d.make_link(path, b"t"),
            lambda: d.remove(path, Kind.FILE),
            lambda: d.digest(path),
            lambda: d.replacing(path, 0o644).__enter__(),
        ):
            with pytest.raises(OSError):
                call()
    assert not list((place.parent / "outside").iterdir())


def test_a_file_replaces_a_link_and_not_what_it_leads_to(place):
    (place.parent / "outside" / "x").write_text("kept")
    (place / "link").symlink_to("../outside/x")
    with Directory(place) as d:
        with d.replacing("link", 0o755) as f:
            f.write(b"new")
    assert (place / "link").read_text() == "new" and not (place / "link").is_symlink()
    assert os.access(place / "link", os.X_OK)
    assert (place.parent / "outside" / "x").read_text() == "kept"


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(place):
    before = sorted(os.listdir(place))
    with Directory(place) as d:
        with pytest.raises(ZeroDivisionError), d.replacing("f", 0o644) as f:
            f.write(b"half")
            raise ZeroDivisionError
        with pytest.raises(IsADirectoryError), d.replacing("d", 0o644) as f:
            f.write(b"x")
        with pytest.raises(OSError):
            d.make_link("d", b"t")
    assert (place / "f").read_text() == "x" and sorted(os.listdir(place)) == before


def test_missing_directories_are_made_but_not_through_links(place):
    with Directory(place) as d:
        with d.replacing("a/b/c", 0o644) as f:
            f.write(b"x")
        d.make_link("e/l", b"t")
        with pytest.raises(OSError):
            d.make_directory("out/a/b", 0o755)
    assert (place / "a" / "b" / "c").read_text() == "x" and (place / "e" / "l").is_symlink()
    assert list((place.parent / "outside").iterdir()) == []


def test_no_setuid_and_no_directory_that_is_locked(place):
    with Directory(place) as d:
        with d.replacing("s", 0o4777) as f:
            f.write(b"x")
        d.make_directory("m", 0o0)
        d.make_directory("m", 0o0)
    assert (place / "s").stat().st_mode & 0o7000 == 0
    assert (place / "m").stat().st_mode & 0o700 == 0o700


def test_directories_that_hold_something_stay(place):
    (place / "d" / "x").touch()
    with Directory(place) as d:
        assert d.remove("d", Kind.DIRECTORY) is False
        assert d.remove("d/x", Kind.FILE) and d.remove("d", Kind.DIRECTORY)
    assert not (place / "d").exists()


@pytest.mark.parametrize("path", ["gone", "f"])
def test_a_directory_that_is_none_is_a_value_error(place, path):
    with pytest.raises(InvalidConfigurationError, match="cannot use directory"):
        Directory(place / path)
