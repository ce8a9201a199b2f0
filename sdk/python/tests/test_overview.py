"""The code of the overview (python-sdk-overview.zh.md) runs as it is printed there.

All of it but two blocks: `pip install agentfense` needs a release, and the
manual way that the SDK replaces is a sketch with dots in it. A block that goes
on from the one before gets what that imported.
"""

import ast
import contextlib
import runpy
import shutil
import socket
import textwrap
import threading

import pytest

import agentfense

pytestmark = pytest.mark.e2e


@pytest.fixture
def here(endpoint, tmp_path, monkeypatch):
    """A directory with the projects that the text names."""
    monkeypatch.chdir(tmp_path)
    project = tmp_path / "my-project"
    (project / "secrets").mkdir(parents=True)
    (project / "analyze.py").write_text("open('output/report', 'w').write('done')\n")
    (project / "process.py").write_text(
        "import os\n"
        "assert not os.path.exists('secrets')\n"
        "open('/workspace/output/x', 'w').write('y')\n"
        "print('processed')\n"
    )
    (project / "secrets" / "token").write_text("secret")
    (project / "Makefile").write_text("test build:\n\t@echo made\n")
    (project / "main.py").write_text("...\n")
    (project / "backend" / "venv" / "bin").mkdir(parents=True)
    (project / "backend" / "venv" / "bin" / "activate").write_text("VIRTUAL_ENV=venv\n")
    (project / "backend" / "manage.py").write_text(
        "import os, sys\nprint(sys.argv[1:], os.environ['DEBUG'], os.getcwd())\n"
    )
    for name in ["project"] + [f"project-{i}" for i in range(10)]:
        shutil.copytree(project, tmp_path / name)
    yield tmp_path
    with agentfense.SandboxClient(endpoint) as client:
        assert client.list_sandboxes() == []


def run(directory, code):
    if not shutil.which("python", path="/usr/local/bin:/usr/bin"):
        # A sandbox has the programs of the host's /usr, and there is no other name there.
        code = code.replace('"python ', '"python3 ')
    script = directory / "block.py"
    script.write_text(textwrap.dedent(code))
    return runpy.run_path(str(script), {"Sandbox": agentfense.Sandbox})


@contextlib.contextmanager
def forwarded(port, path):
    """Somebody listens on a TCP port of this machine, as the text's server does.

    The daemon itself takes no TCP without TLS.
    """
    stop = threading.Event()

    def pump(source, target):
        with contextlib.suppress(OSError):
            for data in iter(lambda: source.recv(1 << 16), b""):
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def serve():
        while not stop.is_set():
            with contextlib.suppress(socket.timeout):
                near, _ = listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(path)
                ends.extend([near, far])
                for pair in ((near, far), (far, near)):
                    threads.append(threading.Thread(target=pump, args=pair))
                    threads[-1].start()

    ends, threads = [], [threading.Thread(target=serve)]
    with socket.create_server(("localhost", port)) as listener:
        listener.settimeout(0.1)
        threads[0].start()
        yield
        stop.set()
        threads[0].join()
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in threads[1:]:
            thread.join()
        for end in ends:
            end.close()


def test_one_line(here):
    done = run(
        here,
        """
        from agentfense import Sandbox

        # 一行代码:上传文件、设置权限、启动沙盒、自动清理
        with Sandbox.from_local("./my-project", preset="agent-safe") as sandbox:
            result = sandbox.run("python analyze.py")
        """,
    )
    assert done["result"].success, done["result"]


def test_three_lines(here):
    done = run(
        here,
        """
        from agentfense import Sandbox
        with Sandbox.from_local("./project", preset="agent-safe") as sandbox:
            result = sandbox.run("make test")
        """,
    )
    assert done["result"].stdout == "made\n", done["result"]


def test_high_level(here, capsys):
    done = run(
        here,
        """
        from agentfense import Sandbox

        with Sandbox.from_local("./my-project") as sandbox:
            result = sandbox.run("pytest")
            print(result.stdout)
        """,
    )
    assert isinstance(done["result"].exit_code, int)


def test_async(here):
    run(
        here,
        """
        from agentfense import AsyncSandbox
        import asyncio

        async def run_tests():
            async with await AsyncSandbox.from_local("./project") as sandbox:
                result = await sandbox.run("pytest")
                return result.stdout

        asyncio.run(run_tests())
        """,
    )


LOW_LEVEL = """
from agentfense import SandboxClient

client = SandboxClient(endpoint="localhost:9000")

# 创建代码库一次
codebase = client.create_codebase(name="shared-repo", owner_id="team_A")

# 手动上传文件
client.upload_file(codebase.id, "main.py", b"...")

# 从同一代码库创建多个沙盒
sandbox1 = client.create_sandbox(codebase.id, permissions=[...])
sandbox2 = client.create_sandbox(codebase.id, permissions=[...])

# 显式生命周期
client.start_sandbox(sandbox1.id)
result = client.exec(sandbox1.id, command="python main.py")
client.destroy_sandbox(sandbox1.id)
"""


def test_low_level(here, endpoint):
    with forwarded(9000, endpoint[len("unix://") :]):
        done = run(here, LOW_LEVEL)
        client = done["client"]
        client.destroy_sandbox(done["sandbox2"].id)
        client.delete_codebase(done["codebase"].id)
        client.close()
    assert isinstance(done["result"].exit_code, int)


MANUAL = """
# 手动方式:约 50 行代码,容易出错
client = SandboxClient("localhost:9000")
cb = client.create_codebase(...)
for file in os.walk(...):
    client.upload_file(cb.id, ...)
rules = [...]  # 手动定义每个模式
sb = client.create_sandbox(cb.id, permissions=rules)
client.start_sandbox(sb.id)
try:
    result = client.exec(sb.id, cmd)
finally:
    client.destroy_sandbox(sb.id)
    client.delete_codebase(cb.id)
"""


def test_the_manual_way_names_calls_that_there_are():
    for node in ast.walk(ast.parse(MANUAL)):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "client":
            assert callable(getattr(agentfense.SandboxClient, node.attr))


DOCKER = """
from agentfense import Sandbox, RuntimeType, ResourceLimits

with Sandbox.from_local(
    "./my-project",
    preset="agent-safe",
    runtime=RuntimeType.DOCKER,
    image="python:3.11-slim",
    resources=ResourceLimits(
        memory_bytes=512 * 1024 * 1024,  # 512 MB
        pids_limit=100,
    ),
) as sandbox:
    result = sandbox.run("pytest", timeout=300)
"""


def test_docker_without_an_engine_is_a_clear_error(here):
    with pytest.raises(agentfense.NotSupportedError, match="docker") as e:
        run(here, DOCKER)
    assert e.value.reason == "RUNTIME_UNAVAILABLE"


@pytest.mark.docker
def test_docker(here):
    (here / "my-project" / "test_x.py").write_text("def test_x():\n    assert True\n")
    result = run(here, DOCKER)["result"]
    assert result.exit_code == 0 and "1 passed" in result.stdout, result


SESSION = """
with Sandbox.from_local("./my-project") as sandbox:
    with sandbox.session() as session:
        # 所有这些命令在同一个 shell 进程中运行
        session.exec("cd /workspace/backend")
        session.exec("source venv/bin/activate")
        session.exec("export DEBUG=1")
        result = session.exec("python manage.py test")
        print(result.stdout)
"""


def test_session(here, capsys):
    # As printed the preset is view-only, which reads neither file.
    done = run(here, SESSION)
    assert "Permission denied" in done["result"].stderr
    done = run(here, SESSION.replace('"./my-project"', '"./my-project", preset="read-only"'))
    assert capsys.readouterr().out.endswith("['test'] 1 /workspace/backend\n\n")
    assert done["session"].status == "closed"


def test_smallest(here, capsys):
    run(
        here,
        """
        from agentfense import Sandbox

        # 最简单的用法
        with Sandbox.from_local("./my-project") as sandbox:
            result = sandbox.run("ls -la")
            print(result.stdout)
        """,
    )
    assert "analyze.py" in capsys.readouterr().out


def test_custom_permissions(here):
    done = run(
        here,
        """
        from agentfense import Sandbox, PermissionRule, Permission

        with Sandbox.from_local(
            "./my-project",
            preset="read-only",
            permissions=[
                PermissionRule(pattern="/output/**", permission=Permission.WRITE),
                PermissionRule(pattern="/secrets/**", permission=Permission.NONE),
            ]
        ) as sandbox:
            result = sandbox.run("python process.py")
        """,
    )
    assert done["result"].stdout == "processed\n", done["result"]


def test_ten_at_once(here, capsys):
    run(
        here,
        """
        import asyncio
        from agentfense import AsyncSandbox

        async def run_in_sandbox(project_path):
            async with await AsyncSandbox.from_local(project_path) as sandbox:
                return await sandbox.run("make test")

        async def main():
            projects = [f"./project-{i}" for i in range(10)]
            tasks = [run_in_sandbox(p) for p in projects]
            results = await asyncio.gather(*tasks)
            for i, result in enumerate(results):
                print(f"Project {i}: {result.exit_code}")

        asyncio.run(main())
        """,
    )
    assert capsys.readouterr().out.count("Project ") == 10


ERRORS = """
from agentfense import (
    Sandbox,
    CommandTimeoutError,
    CommandExecutionError,
    PermissionDeniedError,
    SandboxNotRunningError,
)

try:
    with Sandbox.from_local("./project") as sandbox:
        result = sandbox.run("make build", timeout=60, raise_on_error=True)
except CommandTimeoutError as e:
    # 命令耗时 > 60 秒
    print(f"超时: {e.command}")
except CommandExecutionError as e:
    # 非零退出码
    print(f"失败,退出码 {e.exit_code}: {e.stderr}")
except PermissionDeniedError as e:
    # 尝试访问被屏蔽的文件
    print(f"权限拒绝: {e.path}")
except SandboxNotRunningError as e:
    # 沙盒未启动或已停止
    print(f"沙盒未运行: {e.current_status}")
"""


@pytest.mark.parametrize(
    "old, new, expected",
    [
        ("make build", "make build", "失败,退出码 2"),
        ("make build", "exit 3", "失败,退出码 3"),
        ('"make build", timeout=60', '"sleep 60", timeout=0.2', "超时: sleep 60"),
        (
            'sandbox.run("make build", timeout=60, raise_on_error=True)',
            "sandbox.read_file('Makefile')",
            "权限拒绝: /Makefile",
        ),
        ("result = ", "sandbox.stop(); result = ", "沙盒未运行: stopped"),
    ],
)
def test_errors(here, capsys, old, new, expected):
    run(here, ERRORS.replace(old, new, 1))
    assert expected in capsys.readouterr().out
