"""A fact about a run that is damaged, or that somebody planted: every command says one sentence, or goes on.

What decides about money is never guessed: a last committed id that is too low would have what was bought forgotten.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchedit.core.errors import CheckpointCorruptError
from batchedit.ledger.run_facts import parse_whole_number, parse_whole_numbers, read_fact
from batchedit.manifest.rows import Form, FormKind
from batchedit.planning.survey import Survey, dump_survey, read_survey
from batchedit.sandbox import RunningSandbox, SandboxConfig, serve
from tests.support.cli import make_own_env, manifest, on
from tests.support.cli import run_cli as batchedit
from tests.support.share import whole_or

DAMAGED = {
    "asked_price": "4e4",
    "committed_id": "0",
    "form": '{"kind": "csv", "header_row": "x"}',
    "gone_runs": "[1]",
    "max_cost": "-1",
    "results_written": "x/1",
    "survey": '{"rows": "x"}',
    "top_price": "9" * 30,
}
"""What is read as a number or as JSON, by name, with a text that no run has written."""
DECIDES = frozenset({"committed_id", "form", "max_cost", "top_price"})
"""Nothing is bought while one of these is damaged."""
ODD = {
    "lifetimes": "[]",
    "slowed": "[1]",
    "fingerprint": "x",
    "run_ids": "\n",
    "accounts": "x",
    "source": "/a\0b",
}
"""What any text may stand in."""
COMMANDS = (
    ("status", "m"),
    ("results", "m"),
    ("runs",),
    ("config", "m"),
    ("audit", "m"),
    ("gallery", "m"),
    ("fetch", "m"),
    ("plan", "m.csv"),
    ("run", "m", "--yes"),
    ("retry", "m", "--yes"),
    ("redo", "m", "--yes"),
    ("doubt", "m"),
    ("cancel", "m"),
    ("deliver", "m", "--to", "given"),
    ("set", "m", "-j", "3"),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["kind", "rows", "guesses", "left_out", "delimiter"]), inner, max_size=3)
    ),
    max_leaves=6,
)
READERS = {"form": Form.load, "survey": read_survey, "canary": parse_whole_numbers, "top_price": parse_whole_number}
KINDS = {"form": Form, "survey": dict, "canary": tuple, "top_price": int}


@example(name="top_price", text="7")
@example(name="canary", text="[1, 2]")
@example(name="survey", text="{}")
@given(name=st.sampled_from(sorted(READERS)), text=st.text(max_size=20) | JSON.map(json.dumps))
def test_any_text_is_a_fact_or_one_sentence(name: str, text: str) -> None:
    try:
        fact = read_fact({name: text}, name, READERS[name], None)
    except CheckpointCorruptError as error:
        (_one_line,) = str(error).splitlines()
    else:
        assert isinstance(fact, KINDS[name] if text else type(None)), "what is no such fact was taken for one"


def test_what_a_run_wrote_is_read() -> None:
    form = Form(FormKind.CSV, delimiter=";", encoding="cp1252", newline="\r\n", header_row=3)
    assert read_fact({"form": form.dump()}, "form", Form.load, None) == form
    survey = read_survey(dump_survey(Survey(rows=3, twins=1), ["--map image=B"]))
    assert (survey["rows"], survey["twins"], survey["guesses"]) == (3, 1, ["--map image=B"])


@pytest.fixture(scope="module")
def sandbox() -> Iterator[RunningSandbox]:
    with serve(SandboxConfig(latency="0", plain_files=2_000)) as running:
        yield running


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, sandbox: RunningSandbox) -> Path:
    """With a run in ``kept/m``: a picture, a failed job and one in doubt, under a cap."""
    folder = tmp_path_factory.mktemp("facts")
    manifest(folder / "m.csv", 3)
    sandbox.set_faults(["job:failed=first:1", "submit:drop_after=at:2"])
    batchedit("run", "m.csv", *on(sandbox, "-j", 1, "--max-cost", 9), cwd=folder, env=make_own_env(folder), code=76)
    shutil.copytree(folder / "outputs", folder / "kept")
    return folder


@pytest.mark.parametrize("name", sorted(whole_or({**DAMAGED, **ODD}.keys(), DECIDES | {"survey", "lifetimes"})))
def test_most_commands_ended_in_a_raw_exception_over_a_damaged_fact(
    made: Path, sandbox: RunningSandbox, name: str
) -> None:
    bought, text = sandbox.ledger()["accepted"], {**DAMAGED, **ODD}[name]
    sandbox.set_faults(["job:failed=first:100000"])
    shutil.rmtree(made / "outputs")
    shutil.copytree(made / "kept", made / "outputs")
    checkpoint = made / "outputs" / "m" / "checkpoint.sqlite"
    refused = 0
    for command, *words in (*COMMANDS, ("run", "m.csv", *map(str, on(sandbox, "--canary", 1)))):
        with closing(sqlite3.connect(checkpoint)) as db, db:  # a command that goes on may write it anew
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, text))
        done = batchedit(command, *words, cwd=made, env=make_own_env(made), code=None)
        assert "Traceback" not in done.stderr, (command, done.stderr)
        assert done.returncode not in {70, 1} or command in {"audit", "retry", "run"}, (command, done.stderr)
        if done.returncode == 74 or "outputs/m): damaged" in done.stdout:
            refused += 1
        if done.returncode == 74:
            assert f"the checkpoint is damaged: its {name} is " in done.stderr, (command, done.stderr)
    assert bool(refused) is (name in DAMAGED)
    if name in DAMAGED:
        assert sandbox.ledger()["accepted"] == bought or name not in DECIDES
        with closing(sqlite3.connect(checkpoint)) as db:
            assert db.execute("SELECT count(*) FROM jobs").fetchone() == (3,)
