"""What a run keeps may be damaged or somebody else's: whatever stands there, a command says one sentence, or goes on."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchedit.core.errors import ManifestError
from batchedit.sandbox import RunningSandbox, SandboxConfig, serve
from batchedit.settings.model import Settings
from batchedit.settings.toml import to_settings_toml
from tests.support.cli import make_own_env, manifest, on
from tests.support.cli import run_cli as batchedit

NAMES = [field.name for field in fields(Settings)]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*NAMES[:3], "a"]), inner, max_size=3),
    max_leaves=6,
)
KEPT = st.dictionaries(st.sampled_from(NAMES), JSON, max_size=4)


@given(text=st.text(max_size=20) | (JSON | KEPT).map(json.dumps))
@example(text="[]")
@example(text="3")
@example(text='{"price": 1e400}')
@example(text='{"variants": true}')
@example(text='{"image_root": "pics"}')
@example(text='{"model": ["\\u0085"]}')
@example(text='{"store": "", "files": "/elsewhere"}')
def test_any_text_is_settings_or_one_sentence(text: str) -> None:
    try:
        settings = Settings.load(text)
    except ManifestError as error:
        (_one_line,) = str(error).splitlines()
        return
    assert Settings.load(settings.dump()) == settings
    to_settings_toml(settings)
    assert settings.service
    assert (settings.store, settings.files) == (None, None), "a file beside a sheet decides on no ledger"


# --- commands -------------------------------------------------------------------------------------

COMMANDS = ("status", "results", "runs", "config", "audit", "gallery", "fetch", "run", "retry", "doubt", "cancel")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[RunningSandbox]:
    with serve(SandboxConfig(latency="0", plain_files=2_000)) as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, sandbox: RunningSandbox) -> Path:
    """With a run in ``outputs/m`` that has one failed job."""
    kept_folder = tmp_path_factory.mktemp("kept")
    manifest(kept_folder / "m.csv", 2)
    sandbox.set_faults(["job:failed=first:1"])
    batchedit("run", "m.csv", *on(sandbox), cwd=kept_folder, env=make_own_env(kept_folder), code=1)
    sandbox.set_faults(["job:failed=first:1000"])
    return kept_folder


def keep(folder: Path, name: str, text: str) -> None:
    with closing(sqlite3.connect(folder / "outputs" / "m" / "checkpoint.sqlite")) as db, db:
        db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, text))


@pytest.mark.parametrize("text", ["[]", "{", '{"price": "x"}', '{"image_root": [1]}', '{"map": [["a", "b"]]}'])
def test_damaged_settings_of_a_run_are_one_sentence(folder: Path, text: str) -> None:
    keep(folder, "settings", text)
    for command in COMMANDS:
        yes = ["--yes"] if command in {"run", "retry"} else []
        name = [] if command == "runs" else ["m"]
        done = batchedit(command, *name, *yes, cwd=folder, env=make_own_env(folder), code=None)
        assert "Traceback" not in done.stderr, command
        assert done.returncode in ({0} if command == "runs" else {0, 65, 75, 76}), (command, done.stderr)
        if done.returncode == 65:
            assert done.stderr.startswith("batchedit: the settings that this run keeps are damaged")
            assert done.stderr.count("\n") == 2
