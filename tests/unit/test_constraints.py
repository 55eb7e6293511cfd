"""The versions that a checkout installs: all direct dependencies, within what the package allows."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

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
