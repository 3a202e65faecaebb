"""pyproject.toml, constraints.txt, environment.yml and the Makefile describe one environment."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = [
    {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": platform,
        "platform_system": "Darwin" if platform == "darwin" else "Linux",
        "extra": "",
    }
    for python in ("3.10", "3.11")
    for platform in ("linux", "darwin")
]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = [
    Requirement(line)
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if not line.startswith("#")
]


def applies(requirement: Requirement, environment: dict[str, str]) -> bool:
    return requirement.marker is None or requirement.marker.evaluate(environment)


def pinned(environment: dict[str, str]) -> list[tuple[str, Version]]:
    return [
        (canonicalize_name(pin.name), Version(next(iter(pin.specifier)).version))
        for pin in PINS
        if applies(pin, environment)
    ]


def direct_dependencies(environment: dict[str, str]) -> list[Requirement]:
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    requirements = [Requirement(line) for group in groups for line in group]
    return [requirement for requirement in requirements if applies(requirement, environment)]


def test_every_constraint_names_one_exact_version() -> None:
    loose = [
        str(pin)
        for pin in PINS
        if [specifier.operator for specifier in pin.specifier] != ["=="]
        or "*" in str(pin.specifier)
        or "+" in str(pin.specifier)
    ]
    assert loose == []


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda e: "-".join(e.values()))
def test_no_package_is_pinned_twice(environment: dict[str, str]) -> None:
    names = [name for name, _ in pinned(environment)]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda e: "-".join(e.values()))
def test_every_direct_dependency_is_pinned_within_its_range(environment: dict[str, str]) -> None:
    versions = dict(pinned(environment))
    wrong = [
        f"{requirement} but pinned {versions.get(canonicalize_name(requirement.name))}"
        for requirement in direct_dependencies(environment)
        if canonicalize_name(requirement.name) not in versions
        or versions[canonicalize_name(requirement.name)] not in requirement.specifier
    ]
    assert wrong == []


def test_recbole_is_left_out_where_it_has_no_build() -> None:
    newer = {**ENVIRONMENTS[0], "python_version": "3.12", "python_full_version": "3.12.0"}
    names = {requirement.name for requirement in direct_dependencies(newer)}
    assert "torch" in names
    assert not names & {"recbole", "setuptools"}


def test_conda_and_make_install_the_same_thing() -> None:
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    (from_pip,) = (entry["pip"] for entry in dependencies if isinstance(entry, dict))
    script = (ROOT / "tools" / "make_venv.sh").read_text()
    (constraints, project) = re.search(r"-c (\S+) -e '(\S+)'", script).groups()
    assert from_pip == [f"-c {constraints}", f"-e {project}"]
    extras = re.search(r"\[(.*)\]", project).group(1).split(",")
    assert set(extras) <= set(PROJECT["optional-dependencies"])


def test_conda_takes_a_python_that_recbole_runs_on() -> None:
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    (python,) = (entry for entry in dependencies if str(entry).startswith("python="))
    assert python.removeprefix("python=") in {e["python_version"] for e in ENVIRONMENTS}


def test_an_unsuitable_python_is_refused_with_what_to_do(tmp_path: Path) -> None:
    result = subprocess.run(
        ["bash", str(ROOT / "tools" / "make_venv.sh"), str(tmp_path / "venv")],
        env={"PYTHON": "/bin/false", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert "No usable Python 3.10 or 3.11" in result.stderr
    assert not (tmp_path / "venv").exists()
