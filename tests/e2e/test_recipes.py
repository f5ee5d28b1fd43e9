"""The pages of docs/how-to and the tutorial are typed as they stand, and say what the pages say they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.support.cli import make_env

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs/tutorial.md", *sorted((ROOT / "docs/how-to").glob("*.md"))]


def read_recipes() -> dict[str, list[tuple[str, list[str]]]]:
    """Page → its ``console`` commands in order, each with the lines that the page shows beneath it."""
    commands_by_page: dict[str, list[tuple[str, list[str]]]] = {}
    for page in PAGES:
        blocks = re.findall(r"^```console\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        if blocks:
            commands_by_page[page.stem] = [command for block in blocks for command in split_commands(block)]
    return commands_by_page


def split_commands(block: str) -> list[tuple[str, list[str]]]:
    """``$ `` begins a command, a backslash at its end or ``<<'EOF'`` goes on; what follows is shown of its output."""
    commands_with_output: list[tuple[str, list[str]]] = []
    for line in block.replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            commands_with_output.append((line[2:], []))
        elif (
            commands_with_output
            and "<<'EOF'" in commands_with_output[-1][0]
            and not commands_with_output[-1][0].endswith("\nEOF")
        ):
            commands_with_output[-1] = (f"{commands_with_output[-1][0]}\n{line}", [])
        elif line.strip() not in {"", "…"}:
            commands_with_output[-1][1].append(line)
    return commands_with_output


RECIPES = read_recipes()


@pytest.fixture
def kitchen(tmp_path: Path) -> Path:
    """A folder with our manifests and three photos, and ``batchedit`` on the path."""
    (tmp_path / "manifests").symlink_to(ROOT / "manifests")
    (tmp_path / "photos").mkdir()
    for name, colour in (("red-mug", "red"), ("blue_shirt", "blue"), ("green lamp", "green")):
        Image.new("RGB", (64, 48), colour).save(tmp_path / "photos" / f"{name}.png")
    (tmp_path / "bin").mkdir()
    shim = tmp_path / "bin" / "batchedit"
    shim.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m batchedit "$@"\n')
    shim.chmod(0o755)
    return tmp_path


def type_command(command: str, kitchen: Path) -> str:
    env = {name: value for name, value in make_env().items() if name not in {"RUNCOMFY_API_TOKEN", "COLUMNS"}}
    env |= {"PATH": f"{kitchen / 'bin'}:{env['PATH']}", "HOME": str(kitchen)}
    completed = subprocess.run(
        ["bash", "-c", command], cwd=kitchen, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert completed.returncode == 0, f"{command}\n{completed.stdout}\n{completed.stderr}"
    return completed.stdout + completed.stderr


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe(kitchen: Path, name: str) -> None:
    assert RECIPES[name], "a recipe without a command"
    for command, expected_lines in RECIPES[name]:
        output = type_command(command, kitchen)
        for line in expected_lines:
            assert line.strip() in output, f"$ {command}\n{output}"


def test_the_readme_begins_with_nothing_but_the_program(kitchen: Path) -> None:
    """Who has the wheel alone has no folder manifests: the first command of README and of the help named a file of ours."""
    (kitchen / "manifests").unlink()
    blocks = re.findall(
        r"^```console\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    ours = [
        (command, expected_lines)
        for block in blocks
        for command, expected_lines in split_commands(block)
        if " manifests/" in command
    ]
    template_output = type_command("batchedit template --examples", kitchen)
    assert len(ours) == 3, "two runs of the demo, and the plan of the broken one"
    for command, expected_lines in ours:
        output = type_command(f"{command} || true", kitchen)
        for line in expected_lines:
            measured = re.sub(r"\d+\.\d s", "", line).strip()
            assert measured != line.strip() or measured in output, f"$ {command}\n{output}"
    assert "batchedit run manifests/demo.csv --sandbox" in template_output


def test_the_examples_of_the_program_are_those_of_the_project() -> None:
    packed = {path.name: path.read_bytes() for path in (ROOT / "batchedit/importers/examples").iterdir()}
    assert packed == {path.name: path.read_bytes() for path in (ROOT / "manifests").iterdir()}


def test_the_recipes_that_were_promised_are_there() -> None:
    promised = {"tutorial", "shopify-export", "folder-of-pictures", "markets-and-sizes", "edit-and-run-again"}
    assert promised <= RECIPES.keys()
