"""Settings from flags, environment and file: which wins, where each came from, and how they are kept."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchedit.cli.app import batchedit as group
from batchedit.cli.options import read_given_options
from batchedit.settings.model import Settings
from batchedit.settings.toml import format_toml, to_option_name, to_settings_toml
from tests.support.cli import make_env, manifest
from tests.support.cli import run_cli as batchedit

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
value = st.recursive(
    st.booleans() | text | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(st.dictionaries(text, value, max_size=3))
def test_toml_comes_back_as_it_was(values) -> None:
    written = "".join(f"{format_toml(name)} = {format_toml(inner)}\n" for name, inner in values.items())
    assert tomllib.loads(written) == values


EVERY = Settings(
    prompt='say "x"\nand {Title}',
    map={"image": "Image Src"},
    set={"size": "1:1"},
    variants=3,
    over={"market": ("DE", "FR")},
    fill_down=("Title", "Body (HTML)"),
    id="SKU",
    name="{sku}/{n}",
    limit=7,
    delimiter=";",
    encoding="cp1252",
    sheet="März",
    image_root=("pics", "more; pics"),
    no_shrink=True,
    skip_invalid=True,
    check_images=True,
    no_check_images=True,
    format="xlsx",
    price=45_500,
    concurrency=0,
    rate=100 / 60,
    max_cost=3_000_000,
    canary=2,
    on_doubt="buy-again",
    stop_after_failures="50%",
    stuck_after=600.0,
    poll_seconds=2.5,
    sandbox=True,
    base_url="http://127.0.0.1:9",
    allow_hosts=("cdn.example.com", "*.example.org"),
    sizes=(),
)


def parse_options(name: str, *arguments: str) -> Settings:
    command = group.commands[name]
    with command.make_context(name, list(arguments)) as ctx:
        return Settings(**read_given_options(ctx))


def test_what_is_kept_can_be_used_again(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(to_settings_toml(EVERY), encoding="utf-8")
    again = parse_options("run", "m.csv", "--config", str(path))
    assert again.rate == pytest.approx(EVERY.rate)
    for name in Settings.__dataclass_fields__:
        if name not in {"rate", "origins", "out"}:
            assert getattr(again, name) == getattr(EVERY, name), name
    assert Settings.load(EVERY.dump()) == EVERY


def test_every_setting_of_run_can_be_kept() -> None:
    kept_keys = {
        line.split(" = ")[0].removeprefix("# ") for line in to_settings_toml(Settings()).splitlines() if " = " in line
    }
    said_once = {
        "fresh",
        "another-account",
        "mine",
        "store",
        "files",
    }  # a store may hold a password; files the run knows
    assert (
        kept_keys == {to_option_name(name) for name in Settings.__dataclass_fields__} - {"out", "origins"} - said_once
    )


def test_leave_to_buy_what_other_runs_have_is_not_kept_for_the_next_command() -> None:
    assert to_settings_toml(Settings(fresh=True, another_account=True)) == to_settings_toml(Settings())


def test_where_each_value_comes_from(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 2)
    (tmp_path / "batchedit.toml").write_text('variants = 2\nprompt = "ad for {sku}"\n')
    env = make_env(BATCHEDIT_VARIANTS="3", BATCHEDIT_MAX_COST="8")

    def list_settings(*more: str, at: Path = tmp_path) -> dict[str, list[str]]:
        lines = batchedit("config", "m.csv", *more, cwd=at, env=env).stdout.splitlines()
        return {line.split()[0]: line.split(maxsplit=2) for line in lines[1:] if not line.startswith("  →")}

    before = list_settings("--max-cost", "7")
    assert before["max-cost"][1:] == ['"7.00"', "flag"]
    assert before["variants"][1:] == ["3", "environment BATCHEDIT_VARIANTS"]
    assert f"file {tmp_path / 'batchedit.toml'}" in " ".join(before["prompt"])
    assert before["sizes"][-1] == "default"

    batchedit("run", "m.csv", "--sandbox", "-j", "5", cwd=tmp_path, env=env)
    after = list_settings()
    assert after["concurrency"][1:] == ["5", "the run (flag)"]
    assert after["sandbox"][1:] == ["true", "the run (flag)"]
    kept_settings = (tmp_path / "outputs" / "m" / "settings.toml").read_text()
    assert "variants = 3  # environment BATCHEDIT_VARIANTS" in kept_settings
    assert tomllib.loads(kept_settings) == {
        "prompt": "ad for {sku}",
        "variants": 3,
        "concurrency": 5,
        "max-cost": "8.00",
        "sandbox": True,
    }
    completed = batchedit("run", "m.csv", "--config", "outputs/m/settings.toml", cwd=tmp_path)
    assert "nothing is left to buy: 6 done" in completed.stderr


def test_config_of_nothing(tmp_path: Path) -> None:
    assert "there is no run for gone.csv" in batchedit("config", "gone.csv", cwd=tmp_path, code=66).stderr


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("variantz = 2", "there is no setting 'variantz'"),
        ("variants = [", "can't be read"),
        ('variants = "many"', "variants"),
    ],
)
def test_a_wrong_settings_file(tmp_path: Path, content: str, expected: str) -> None:
    manifest(tmp_path / "m.csv", 1)
    (tmp_path / "batchedit.toml").write_text(content)
    assert expected in batchedit("plan", "m.csv", cwd=tmp_path, code=64).stderr
