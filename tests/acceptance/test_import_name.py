"""Everything is imported as `backfilld`: a platform's own modules `api`, `state` and `daemon` do no harm."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from backfilld.api.cli.client import ApiError, Client
from tests.integration.real_jobs import until
from tests.ports import free_port
from tests.timeouts import PATIENCE

JOB = """
import sys
from pathlib import Path
import duckdb
from api import TEAM

folder = Path("lake/raw/box") / f"date={sys.argv[1]}"
folder.mkdir(parents=True)
duckdb.sql(f"COPY (SELECT '{TEAM}' AS team) TO '{folder}/part-0.parquet.tmp' (FORMAT parquet)")
(folder / "part-0.parquet.tmp").rename(folder / "part-0.parquet")
"""

PIPELINE = """
name = "shop"
[warehouse]
kind = "lake"
path = "lake"
[jobs]
env = { PYTHONPATH = "." }
[[phase]]
name = "load"
[[phase.processor]]
name = "box"
table = "raw.box"
command = ["{python}", "job.py", "{date}"]
"""


@pytest.fixture
def platform(tmp_path: Path) -> Path:
    """A checkout whose own modules have the names of this project's folders."""
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "__init__.py").write_text('TEAM = "north"\n')
    for name in ("state.py", "daemon.py", "demo.py"):
        (tmp_path / name).write_text("raise RuntimeError('the platform\\'s own module was imported')\n")
    (tmp_path / "lake").mkdir()
    (tmp_path / "job.py").write_text(JOB)
    (tmp_path / "pipeline.toml").write_text(PIPELINE)
    return tmp_path


def command(platform: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command line, run in the platform's checkout with its PYTHONPATH."""
    environment = {**os.environ, "PYTHONPATH": "."}
    call = [sys.executable, "-m", "backfilld", *words]
    return subprocess.run(
        call, cwd=platform, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE
    )


def test_the_command_ignores_modules_of_the_platform_with_the_names_of_its_folders(platform: Path) -> None:
    checked = command(platform, "pipeline", "check", "--pipeline", "pipeline.toml")
    assert checked.returncode == 0, checked.stderr
    validated = command(platform, "validate", "2024-03-01", "--pipeline", "pipeline.toml")
    assert validated.returncode == 1, validated.stderr
    assert "Traceback" not in validated.stderr


def test_a_job_of_the_daemon_imports_the_platforms_own_api(platform: Path) -> None:
    # Given a daemon that was started in the platform's checkout
    address = f"127.0.0.1:{free_port()}"
    serve = ["serve", "--pipeline", "pipeline.toml", "--state-dir", "var", "--listen", address]
    with (platform / "daemon.log").open("w") as log:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "backfilld", *serve],
            cwd=platform,
            env={**os.environ, "PYTHONPATH": "."},
            stdout=log,
            stderr=log,
        )
    try:
        client = Client(f"http://{address}")
        until(lambda: is_ready(client), "the daemon to be ready")
        # When a date is backfilled
        waited = command(platform, "enqueue", "2024-03-01", "--wait", "--url", f"http://{address}")
        # Then its job has imported the platform's `api`, and its row is there
        assert waited.returncode == 0, waited.stdout + waited.stderr
        assert client.get("/v1/dates/2024-03-01")["outcome"] == "complete"
    finally:
        daemon.terminate()
        daemon.wait(PATIENCE)


def is_ready(client: Client) -> bool:
    try:
        client.text("/readyz")
    except ApiError:
        return False
    return True


def test_python_daemon_keeps_its_own_module_in_the_same_environment(tmp_path: Path) -> None:
    # Given python-daemon, which installs a module called `daemon`
    imports = "import daemon, backfilld.daemon.service as service"
    code = f"{imports}; print(daemon.DaemonContext.__name__, service.__name__)"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    # Then both are what their users expect
    assert ran.stdout.split() == ["DaemonContext", "backfilld.daemon.service"]
