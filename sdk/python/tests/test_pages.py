"""The guides and the examples: complete, in two languages, and their code runs."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest
from pages import GUIDES, ROOT, blocks

from agentfense import SandboxClient, _errors

SDK = ROOT / "sdk" / "python"
ENGLISH = [path for path in GUIDES if not path.name.endswith(".zh.md")]


def name(path: pathlib.Path) -> str:
    return str(path.relative_to(ROOT / "docs"))


@pytest.mark.parametrize("path", ENGLISH, ids=name)
def test_every_guide_has_its_chinese_twin_with_the_same_code(path):
    twin = path.with_name(path.stem + ".zh.md")
    assert twin.exists()
    ours, theirs = blocks(path), blocks(twin)
    assert [(b.language, b.code) for b in ours] == [(b.language, b.code) for b in theirs]
    assert [b.told.keys() for b in ours] == [b.told.keys() for b in theirs]
    assert [b.told.get("prints") for b in ours] == [b.told.get("prints") for b in theirs]


@pytest.mark.parametrize("path", GUIDES, ids=name)
def test_every_block_is_of_a_language_that_is_run(path):
    for block in blocks(path):
        assert block.language == "python" or "skip" in block.told, block.where


def test_the_links_of_the_overview_lead_to_guides():
    here = ROOT / "docs" / "sdk" / "python"
    for link in ("high-level", "async", "sessions", "permissions", "errors"):
        assert (here / f"{link}.md").exists() and (here / f"{link}.zh.md").exists()
    assert (here / "../../getting-started/installation.md").exists()


def test_every_error_is_in_the_guide():
    page = (ROOT / "docs" / "sdk" / "python" / "errors.md").read_text()
    for error in _errors.__all__:
        assert f"`{error}`" in page, error


def test_the_reference_is_what_the_code_says():
    tool = SDK / "tools" / "reference.py"
    done = subprocess.run([sys.executable, str(tool), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def python(argv, directory, endpoint):
    environment = dict(os.environ, AGENTFENSE_ENDPOINT=endpoint, PYTHONDONTWRITEBYTECODE="1")
    environment.pop("GRPC_ENABLE_FORK_SUPPORT", None)
    # An editable install is found anyway; this runs against a plain checkout too.
    environment["PYTHONPATH"] = str(SDK)
    return subprocess.run(
        [sys.executable, *argv],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def place(endpoint, tmp_path):
    shutil.copytree(ROOT / "examples" / "shop", tmp_path / "my-project")
    yield tmp_path
    with SandboxClient(endpoint) as client:
        assert client.list_sandboxes() == [] and client.list_codebases() == []


@pytest.mark.e2e
@pytest.mark.parametrize(
    "block",
    [b for path in [*ENGLISH, SDK / "README.md"] for b in blocks(path) if "skip" not in b.told],
    ids=lambda b: b.where,
)
def test_the_blocks_of_the_guides_run(block, place, endpoint):
    done = python(["-c", block.code], place, endpoint)
    printed = done.stdout + done.stderr
    assert done.returncode == int(block.told.get("exits", 0)), printed
    assert block.told.get("prints", "") in printed, printed


EXAMPLES = sorted((ROOT / "examples" / "python").glob("*.py"))


@pytest.mark.e2e
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.name)
def test_the_examples_run(path, place, endpoint):
    done = python([str(path), str(place / "my-project")], place, endpoint)
    assert done.returncode == 0, done.stdout + done.stderr
    last = path.read_text().splitlines()[-1]
    assert last.startswith("# prints: "), "the last line says what it prints"
    assert last[len("# prints: ") :] in done.stdout, done.stdout + done.stderr
