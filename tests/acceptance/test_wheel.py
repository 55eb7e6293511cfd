"""The wheel, installed where no checkout is: it has all its files, and the demo runs from it to its end."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

from backfilld import __version__
from backfilld.demo import faults
from tests.acceptance.audit import overlaps
from tests.acceptance.daemon import FEW, with_processors
from tests.ports import free_port
from tests.wheel import FOLDERS, ROOT, build


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A fresh environment with the wheel in it; the dependencies are borrowed from ours."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False, symlinks=True)
    paths = {"base": str(folder), "platbase": str(folder)}
    site = Path(sysconfig.get_path("purelib", "venv", vars=paths))
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    words = ["install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    run(sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), *words)
    return folder


def run(*words, cwd=None):
    """What a command printed, in an environment that knows nothing of the checkout."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("BACKFILLD_", "PYTHON"))}
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=cwd, env=environment)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def test_the_wheel_has_every_file_of_the_packages_and_nothing_of_the_tests(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    wanted = {
        str("backfilld" / path.relative_to(ROOT))
        for name in FOLDERS
        for path in (ROOT / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted - names == set()
    assert {name.split("/")[0] for name in names} == {
        "backfilld",
        f"backfilld-{__version__}.dist-info",
        f"backfilld-{__version__}.data",
    }


def test_what_operators_take_from_a_checkout_comes_with_it(wheel):
    data = f"backfilld-{__version__}.data/data/share/backfilld/"
    with zipfile.ZipFile(wheel) as archive:
        shared = {name.removeprefix(data) for name in archive.namelist() if name.startswith(data)}
    deployed = {
        str(path.relative_to(ROOT / "deploy")) for path in (ROOT / "deploy").rglob("*") if path.is_file()
    }
    assert shared == deployed | {f"pipelines/{path.name}" for path in (ROOT / "pipelines").glob("*.toml")}


def test_its_metadata_states_licence_pythons_and_types(wheel):
    info = f"backfilld-{__version__}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        output = message_from_string(archive.read(f"{info}/METADATA").decode())
        assert archive.read(f"{info}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert output["License-Expression"] == "Apache-2.0"
    assert output["Requires-Python"] == ">=3.11"
    classifiers = output.get_all("Classifier")
    assert {f"Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13)} <= set(classifiers)
    assert "Typing :: Typed" in classifiers


def test_the_demo_runs_from_the_wheel_to_its_end(installed, tmp_path):
    # Given a folder that is no checkout, and the environment's own interpreter and command
    python, backfilld = (str(installed / "bin" / name) for name in ("python", "backfilld"))
    places = run(
        python,
        "-c",
        "import backfilld.api, backfilld.demo as demo; print(backfilld.api.__file__, demo.__path__[0])",
        cwd=tmp_path,
    ).split()
    assert all(Path(place).is_relative_to(installed) for place in places)
    # Then it knows its version and its demo's pipeline file
    assert run(backfilld, "--version", cwd=tmp_path).strip() == f"backfilld, version {__version__}"
    file = str(Path(places[1]) / "pipeline.toml")
    assert "phase4-step-4" in run(backfilld, "pipeline", "check", "--pipeline", file, cwd=tmp_path)
    # And the demo catches its three faults, says so in its last five lines, and all of it in plain lines;
    # with some of its processors, since each of the other jobs is run by tests/integration/test_demo_jobs.py
    text = Path(file).read_text(encoding="utf-8")
    some = (*FEW, faults.NO_DATA.processor)
    Path(file).write_text(with_processors(text, some), encoding="utf-8")
    listen = f"127.0.0.1:{free_port()}"
    output = run(backfilld, "demo", "--folder", str(tmp_path / "demo"), "--listen", listen, cwd=tmp_path)
    assert "backfill 1 is finished" in output
    partial, no_data, untouched, summary, _ = output.splitlines()[-5:]
    assert (
        "nbac_team_boxscore on 2021-10-23: exit 0 · 2 of 16 rows. It ran again: exit 0 · 16 rows" in partial
    )
    assert "exit 0 · no rows, 2 times in a row" in no_data
    assert "exit 0 · untouched, nothing written. It ran again: exit 0 · 12 rows" in untouched
    assert "7 bootstrap, 4 not_expected, 2 complete, 1 waived" in summary
    assert "\x1b" not in output
    assert not overlaps(tmp_path / "demo" / "lake")
