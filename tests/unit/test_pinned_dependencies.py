"""The versions that a checkout installs: all direct dependencies, within what the package allows."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LINES = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
PINNED = [Requirement(line) for line in LINES if not line.startswith("#")]


def direct() -> list[Requirement]:
    """The dependencies of the package, of its extras and of the tests."""
    project = PROJECT["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    lines = [*project["dependencies"], *extras, *PROJECT["dependency-groups"]["dev"]]
    return [Requirement(line) for line in lines]


def test_every_dependency_is_pinned_to_one_version_that_the_package_allows() -> None:
    pins = {pin.name: pin for pin in PINNED}
    for wanted in direct():
        assert wanted.name in pins, f"{wanted.name} is not pinned: run make lock"
        (version,) = pins[wanted.name].specifier
        assert version.operator == "=="
        assert wanted.specifier.contains(version.version), f"{wanted} excludes {version}: run make lock"


def test_no_registry_and_no_path_is_named() -> None:
    assert not [line for line in LINES if re.search(r"://|@|^-|/", line)]


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("click", ["8.2.0", "8.2.1", "8.3.0", "8.3.3"]),  # ParamType cannot be subscripted
        ("apscheduler", ["3.11.0", "3.11.1"]),  # an endless loop when clocks go forward
        ("waitress", ["3.0.0"]),
        ("transitions", ["0.9.2"]),
        ("pydantic", ["1.10.26", "3.0.0"]),
    ],
)
def test_versions_that_do_not_work_are_excluded(name: str, broken: list[str]) -> None:
    (wanted,) = (requirement for requirement in direct() if requirement.name == name)
    assert not list(wanted.specifier.filter(broken))


RULES = re.findall(
    r"^([\w-]+|\$\(\w+\)):(?!=)([^\n]*\n(?:\t[^\n]*\n)*)",
    (ROOT / "Makefile").read_text(encoding="utf-8"),
    re.MULTILINE,
)


def made_by(target: str) -> set[str]:
    """The targets of the Makefile that one needs or makes, with itself."""
    texts = dict(RULES)
    found, new = set[str](), {target}
    while new:
        found |= new
        words = " ".join(texts[name] for name in new)
        new = {name for name in texts if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", words)} - found
    return found


def test_a_checkout_is_tested_without_root_and_without_debian_packages() -> None:
    as_root = {name for name, text in RULES if re.search("sudo|apt-get|dpkg", text)}
    assert as_root == {"system-packages"}
    assert not made_by("test") & as_root
    assert {"check", "lint", "$(READY)"} <= made_by("test")
    assert as_root <= made_by("test-packages")


def test_every_version_of_python_that_the_package_claims_has_tests() -> None:
    claims = {
        found for line in PROJECT["project"]["classifiers"] for found in re.findall(r":: (3\.\d+)$", line)
    }
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (others,) = re.findall(r"^PYTHONS \?= (.+)$", makefile, re.MULTILINE)
    oldest = PROJECT["project"]["requires-python"].removeprefix(">=")
    assert claims == {oldest, *re.findall(r"python(3\.\d+)", others)}
