"""pyproject.toml, constraints.txt, environment.yml and the Makefile describe one environment."""

from __future__ import annotations

import re
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = [
    {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": platform,
        "platform_system": "Darwin" if platform == "darwin" else "Linux",
        "extra": "",
    }
    for python in ("3.11", "3.12", "3.13")
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


def test_ray_is_all_that_recbole_asks_for_and_does_not_get() -> None:
    try:
        asked = [Requirement(line) for line in requires("recbole")]
    except PackageNotFoundError:
        pytest.skip("RecBole is not installed")
    asked = [requirement for requirement in asked if applies(requirement, ENVIRONMENTS[0])]
    ours = {canonicalize_name(r.name) for r in direct_dependencies(ENVIRONMENTS[0])}
    assert {r.name for r in asked if canonicalize_name(r.name) not in ours} == {"ray"}
    for environment in ENVIRONMENTS:
        versions = dict(pinned(environment))
        assert "recbole" in versions
        assert all(versions[r.name] in r.specifier for r in asked if r.name != "ray")


def test_conda_and_make_install_the_same_thing() -> None:
    text = (ROOT / "environment.yml").read_text()
    (from_pip,) = (e["pip"] for e in yaml.safe_load(text)["dependencies"] if isinstance(e, dict))
    script = (ROOT / "tools" / "make_venv.sh").read_text()
    (constraints,) = re.findall(r"-c (\S+)\)", script)
    (project,) = re.findall(r"-e '(\S+)'", script)
    assert from_pip == [f"-c {constraints}", f"-e {project}"]
    extras = re.search(r"\[(.*)\]", project).group(1).split(",")
    assert set(extras) <= set(PROJECT["optional-dependencies"])
    assert "--no-deps recbole" in script
    by_hand = f"pip install --no-deps -c {constraints} recbole"
    assert by_hand in text
    assert by_hand in (ROOT / "README.md").read_text()


def test_make_and_conda_take_the_pythons_that_are_pinned() -> None:
    pythons = {environment["python_version"] for environment in ENVIRONMENTS}
    script = (ROOT / "tools" / "make_venv.sh").read_text()
    assert {f"{major}.{minor}" for major, minor in re.findall(r"\((3), (\d+)\)", script)} == pythons
    assert set(re.findall(r"python(3\.\d+)", script)) >= pythons
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    (conda,) = (entry for entry in dependencies if str(entry).startswith("python="))
    assert conda.removeprefix("python=") in pythons


def test_an_unsuitable_python_is_refused_with_what_to_do(tmp_path: Path) -> None:
    result = subprocess.run(
        ["bash", str(ROOT / "tools" / "make_venv.sh"), str(tmp_path / "venv")],
        env={"PYTHON": "/bin/false", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert "No usable Python 3.11, 3.12 or 3.13" in result.stderr
    assert not (tmp_path / "venv").exists()
