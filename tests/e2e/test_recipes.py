"""README's recipes are typed as they stand, and say what README says they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.support.cli import environment

ROOT = Path(__file__).parents[2]
README = Path(os.environ.get("BATCHEDIT_README", ROOT / "README.md"))


def recipes() -> dict[str, list[tuple[str, list[str]]]]:
    """Below ``## Recipes``: heading → commands in order, each with the lines that README shows beneath it."""
    text = README.read_text(encoding="utf-8") if README.is_file() else ""
    _, _, below = text.partition("\n## Recipes\n") if not text.startswith("## Recipes") else ("", "", text)
    found: dict[str, list[tuple[str, list[str]]]] = {}
    for part in re.split(r"^### ", below.split("\n## ")[0], flags=re.MULTILINE)[1:]:
        blocks = re.findall(r"^```console\n(.*?)^```", part, re.MULTILINE | re.DOTALL)
        found[part.splitlines()[0]] = [command for block in blocks for command in commands(block)]
    return found


def commands(block: str) -> list[tuple[str, list[str]]]:
    """``$ `` begins a command, a backslash at its end goes on; what follows is shown of its output."""
    found: list[tuple[str, list[str]]] = []
    for line in block.replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif line.strip() not in {"", "…"}:
            found[-1][1].append(line)
    return found


RECIPES = recipes()


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


def typed(command: str, kitchen: Path) -> str:
    env = {name: value for name, value in environment().items() if name != "RUNCOMFY_API_TOKEN"}
    env |= {"PATH": f"{kitchen / 'bin'}:{env['PATH']}", "HOME": str(kitchen)}
    done = subprocess.run(
        ["bash", "-c", command], cwd=kitchen, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


@pytest.mark.skipif(not RECIPES, reason="README has no recipes")
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe(kitchen: Path, name: str) -> None:
    assert RECIPES[name], "a recipe without a command"
    for command, shown in RECIPES[name]:
        told = typed(command, kitchen)
        for line in shown:
            assert line.strip() in told, f"$ {command}\n{told}"


@pytest.mark.skipif(not RECIPES, reason="README has no recipes")
def test_the_recipes_that_were_promised_are_there() -> None:
    text = " ".join(RECIPES).casefold()
    assert all(word in text for word in ("shopify", "folder of pictures", "three markets", "run again"))
