"""What the project declares about itself holds: licence, types, checks before a commit."""

from __future__ import annotations

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def test_the_licence_is_the_one_that_is_declared() -> None:
    assert PROJECT["project"]["license"] == "MIT"
    assert (ROOT / "LICENSE").read_text("utf-8").startswith("MIT License\n")
    assert "LICENSE" in (ROOT / "Dockerfile").read_text("utf-8"), "the image's build reads it"


def test_packages_ship_their_types() -> None:
    packages = [p.removesuffix("*") for p in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]]
    assert PROJECT["tool"]["mypy"]["packages"] == [*packages, "testing"], "typed as the packages are, but not shipped"
    assert [p for p in packages if not (ROOT / p / "py.typed").is_file()] == []
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["*"]
    assert any(fnmatch("py.typed", x) for x in patterns)


def test_the_oldest_python_is_the_same_everywhere() -> None:
    oldest = PROJECT["project"]["requires-python"].removeprefix(">=")
    assert f"Programming Language :: Python :: {oldest}" in PROJECT["project"]["classifiers"]
    assert PROJECT["tool"]["mypy"]["python_version"] == oldest
    assert PROJECT["tool"]["ruff"]["target-version"] == "py" + oldest.replace(".", "")


def test_hooks_before_a_commit_are_the_checks_of_make_test() -> None:
    recipe = re.search(r"^test: .*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text("utf-8"), re.M)
    assert recipe
    checks = [x.strip().replace("$(BIN)", ".venv/bin") for x in recipe[1].splitlines() if "pytest" not in x]
    repositories = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    assert [x["repo"] for x in repositories] == ["local"], "hooks come from no other host"
    assert [x["entry"] for x in repositories[0]["hooks"]] == checks
