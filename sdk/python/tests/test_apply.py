"""apply_to, sync and async, against a server in this process."""

import os

import pytest

import agentfense
from agentfense._gen import codebase_pb2 as cb
from agentfense._gen import sandbox_pb2 as sb

ADDED, MODIFIED, DELETED = "ADDED", "MODIFIED", "DELETED"


@pytest.fixture
def sandbox(api, fake, project):
    fake.changes.clear()
    with api.Sandbox.from_local(project, preset="full-access", endpoint=fake.endpoint) as sandbox:
        yield sandbox


@pytest.fixture
def change(fake):
    """Makes the server say that a sandbox changed something."""

    def change(path, operation, content=None, kind=None, mode=0o644, **more):
        kind = kind or ("SYMLINK" if isinstance(content, str) else "FILE")
        made = sb.Change(path=os.fsencode(path), mode=mode, **more)
        made.operation = getattr(sb.Change, f"OPERATION_{operation}")
        made.kind = getattr(cb.TreeEntry, f"KIND_{kind}")
        if content is not None:
            made.size = len(content)
            fake.view[path] = content
        fake.changes.append(made)

    return change


def listing(root):
    found = {}
    for directory, directories, files in os.walk(root):
        for name in directories + files:
            path = os.path.join(directory, name)
            entry = os.path.relpath(path, root)
            if os.path.islink(path):
                found[entry] = os.readlink(path)
            elif os.path.isdir(path):
                found[entry] = None
            else:
                with open(path, "rb") as f:
                    found[entry] = f.read()
    return found


def test_changes_come_to_the_directory_they_began_in(sandbox, change, project):
    change("/main.py", MODIFIED, b"changed")
    change("/src/run.sh", MODIFIED, b"#!/bin/sh\n", mode=0o755)
    change("/link", DELETED, kind="SYMLINK")
    change("/new", ADDED, kind="DIRECTORY", mode=0o755)
    change("/new/x", ADDED, b"x", mode=0o755)
    change("/new/up", ADDED, "../main.py")
    result = sandbox.apply_to(project)
    assert listing(project) == {
        ".env": b"KEY=secret\n",
        "empty": None,
        "main.py": b"changed",
        "new": None,
        "new/up": "../main.py",
        "new/x": b"x",
        "src": None,
        "src/run.sh": b"#!/bin/sh\n",
    }
    assert os.access(project / "new" / "x", os.X_OK)
    assert [c.path for c in result.applied] == ["/link", "/main.py", "/new", "/new/up", "/new/x"]
    assert [c.path for c in result.unchanged] == ["/src/run.sh"] and result.refused == []
    again = sandbox.apply_to(project)
    assert again.applied == [] and len(again.unchanged) == 6


@pytest.mark.parametrize(
    "spoil, conflict",
    [
        (lambda p: (p / "main.py").write_text("mine"), "/main.py"),
        (lambda p: (p / "main.py").write_text("print('HI')\n"), "/main.py"),
        (lambda p: (p / "main.py").unlink(), "/main.py"),
        (lambda p: ((p / "main.py").unlink(), (p / "main.py").mkdir()), "/main.py"),
        (lambda p: ((p / "main.py").unlink(), (p / "main.py").symlink_to("x")), "/main.py"),
        (lambda p: (p / "new").write_text("mine"), "/new"),
        (lambda p: (p / "src" / "run.sh").write_text("mine"), "/src/run.sh"),
    ],
)
def test_what_changed_locally_since_is_a_conflict(sandbox, change, project, spoil, conflict):
    change("/main.py", MODIFIED, b"changed")
    change("/new", ADDED, b"new")
    change("/src/run.sh", DELETED)
    spoil(project)
    before = listing(project)
    with pytest.raises(agentfense.ConflictError, match="nothing was applied") as e:
        sandbox.apply_to(project)
    assert e.value.paths == [conflict]
    assert listing(project) == before
    if not (project / "main.py").is_dir():
        sandbox.apply_to(project, force=True)
        after = listing(project)
        assert (after["main.py"], after["new"]) == (b"changed", b"new")
        assert "src/run.sh" not in after


def test_it_is_compared_with_what_the_sandbox_began_with_and_not_with_the_head(
    fake, sandbox, change, project
):
    change("/main.py", MODIFIED, b"changed")
    fake.codebases[sandbox.codebase_id].head = "moved"
    sandboxes = set(fake.sandboxes)
    sandbox.apply_to(project)
    assert (project / "main.py").read_text() == "changed"
    assert "ForkSandbox" in fake.names and set(fake.sandboxes) == sandboxes


def test_what_is_not_permitted_or_not_safe_is_refused(sandbox, change, project):
    change("/refused", ADDED, b"x", refused=True)
    change("/shadowed", ADDED, b"x", shadowed=True)
    change("/../outside", ADDED, b"x")
    change("/a//b", ADDED, b"x")
    change("/passwd", ADDED, "/etc/passwd")
    change("/up", ADDED, "../../x")
    change("/.git/hooks/pre-commit", ADDED, b"x")
    change("/sub/.git", ADDED, b"gitdir: /x")
    before = listing(project.parent)
    result = sandbox.apply_to(project)
    assert listing(project.parent) == before
    assert {c.path: c.why for c in result.refused if c.refused} == {
        "/refused": "no rule gives it",
        "/shadowed": "the name is hidden, so the file stays the sandbox's own",
        "/../outside": "the path leads outside",
        "/a//b": "the path leads outside",
        "/passwd": "the link leads outside",
        "/up": "the link leads outside",
        "/.git/hooks/pre-commit": "git runs what is in .git: to get it, name it in paths",
        "/sub/.git": "git runs what is in .git: to get it, name it in paths",
    }
    assert result.applied == result.unchanged == []


def test_git_gets_only_what_was_asked_for(sandbox, change, project):
    (project / ".git").mkdir()
    change("/.git/description", ADDED, b"x")
    change("/main.py", MODIFIED, b"changed")
    sandbox.apply_to(project, [".git"])
    assert (project / ".git" / "description").read_text() == "x"
    assert (project / "main.py").read_text() == "print('hi')\n"


def test_links_in_the_directory_are_not_followed(sandbox, change, project):
    outside = project.parent / "outside"
    outside.mkdir()
    (project / "d").symlink_to(outside)
    change("/d/x", ADDED, b"x")
    with pytest.raises(agentfense.ConflictError):
        sandbox.apply_to(project)
    with pytest.raises(agentfense.SandboxError):
        sandbox.apply_to(project, force=True)
    assert list(outside.iterdir()) == []


def test_a_name_may_change_its_kind(sandbox, change, project):
    change("/main.py", MODIFIED, kind="DIRECTORY", mode=0o755)
    change("/main.py/__init__.py", ADDED, b"x")
    change("/src", MODIFIED, b"file")
    change("/src/run.sh", DELETED)
    sandbox.apply_to(project)
    assert (project / "main.py" / "__init__.py").read_text() == "x"
    assert (project / "src").read_text() == "file"


def test_a_deleted_directory_that_holds_more_stays(sandbox, change, project):
    (project / "src" / "__pycache__").mkdir()
    change("/src", DELETED, kind="DIRECTORY")
    change("/src/run.sh", DELETED)
    change("/empty", DELETED, kind="DIRECTORY")
    result = sandbox.apply_to(project)
    assert [c.path for c in result.unchanged] == ["/src"]
    assert not (project / "src" / "run.sh").exists() and (project / "src").is_dir()


def test_directories_that_no_change_names_are_made(sandbox, change, project):
    """A writable directory of the policy is there in the sandbox, and is no change."""
    change("/output/a/x", ADDED, b"x")
    sandbox.apply_to(project)
    assert (project / "output" / "a" / "x").read_text() == "x"


def test_arguments_that_are_none(sandbox, project):
    with pytest.raises(ValueError, match="apply all"):
        sandbox.apply_to(project, [])
    with pytest.raises(ValueError, match="cannot use directory"):
        sandbox.apply_to(project / "gone")


def test_a_change_while_it_is_applied_is_not_lost(sandbox, change, project, monkeypatch):
    from agentfense import _local

    change("/a", ADDED, b"a")
    change("/main.py", MODIFIED, b"changed")
    real = _local.Directory.replacing

    def replacing(self, path, mode):
        (project / "main.py").write_text("mine")
        return real(self, path, mode)

    monkeypatch.setattr(_local.Directory, "replacing", replacing)
    with pytest.raises(agentfense.ConflictError, match="while"):
        sandbox.apply_to(project)
    assert (project / "main.py").read_text() == "mine"
