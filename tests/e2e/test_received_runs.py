"""A run's folder that this person did not make may restrict what is done, and widens nothing."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, closing
from dataclasses import fields
from hashlib import sha256
from pathlib import Path

import anyio
import orjson
import pytest
from PIL import Image

from batchedit.cli.terminal import Terminal
from batchedit.commands.quote_to_confirm import Quote
from batchedit.commands.retry import RetryRequest, retry
from batchedit.commands.trust import BELIEVED_SETTINGS
from batchedit.images.thumbnails_and_features import to_thumb_name
from batchedit.ledger.register import Entry, Register
from batchedit.sandbox import RunningSandbox, SandboxConfig, serve
from batchedit.settings.model import Settings
from tests.support.cli import make_env, manifest, on, rows
from tests.support.cli import run_cli as batchedit


@pytest.fixture
def sandbox() -> Iterator[RunningSandbox]:
    with serve(SandboxConfig(latency="0", plain_files=2_000)) as running:
        yield running


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A picture of the person who receives the run."""
    path = tmp_path / "home" / "passport.png"
    path.parent.mkdir()
    Image.new("RGB", (64, 48), "maroon").save(path)
    return path


@pytest.fixture
def received(tmp_path: Path, sandbox: RunningSandbox, private: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of two rows that somebody else made and then worked on: both are failed, one names ``private``, and the settings
    that it keeps say that pictures may be read anywhere and that one costs next to nothing.
    """
    manifest(tmp_path / "m.csv", 2)
    batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path)
    run = tmp_path / "outputs" / "m"
    inputs = {"image": [{"$file": str(private), "$sha256": sha256(private.read_bytes()).hexdigest()}], "prompt": "x"}
    os.mkfifo(tmp_path / "schema.json")
    with closing(sqlite3.connect(run / "checkpoint.sqlite")) as db, db:
        db.execute("UPDATE jobs SET state = 'failed'")
        db.execute("UPDATE jobs SET inputs = ? WHERE id = 1", (orjson.dumps(inputs).decode(),))
        settings = orjson.loads(db.execute("SELECT value FROM meta WHERE name = 'settings'").fetchone()[0])
        settings |= {"image_root": ["/"], "price": 1, "schema": str(tmp_path / "schema.json"), "on_doubt": "buy-again"}
        db.execute("UPDATE meta SET value = ? WHERE name = 'settings'", (orjson.dumps(settings).decode(),))
        db.execute("UPDATE meta SET value = ? WHERE name = 'source'", (str(private.parent / "m.csv"),))
    monkeypatch.setenv("BATCHEDIT_STATE", str(tmp_path / "state of the receiver"))
    (tmp_path / "m.csv").unlink()
    return run


def make_foreign_options(sandbox: RunningSandbox) -> list[object]:
    return ["--base-url", sandbox.url]


class Person(Terminal):
    """Who says yes to every question."""

    def __init__(self) -> None:
        super().__init__(yes=False, never_asks=False, quiet=True, log_json=False)
        self.environ = make_env()
        self.asked: list[Quote] = []

    async def confirm(self, quote: Quote) -> None:
        self.asked.append(quote)


def run_as_person(work: Callable[[Person], object], folder: Path) -> Person:
    person = Person()
    with chdir(folder):
        anyio.run(work, person)
    return person


def test_a_received_run_bought_with_a_yes_in_advance(tmp_path: Path, sandbox: RunningSandbox, received: Path) -> None:
    submits_before = sandbox.ledger()["submits_seen"]
    for command in ("retry", "run"):
        refused = batchedit(command, received, *on(sandbox), cwd=tmp_path, code=None)
        assert "is not known to be yours" in refused.stderr
        assert "say so once: the same command with --mine" in refused.stderr
        assert sandbox.ledger()["submits_seen"] == submits_before
        assert "(not its schema, image-root, price, on-doubt)" in refused.stderr


def test_a_received_run_read_a_private_picture_and_said_what_it_costs(
    tmp_path: Path, sandbox: RunningSandbox, received: Path, private: Path
) -> None:
    """The person answers the question with yes, and so buys: but what is read and what is said to be the price is theirs."""
    settings = {"base_url": sandbox.url}
    batchedit(
        "fetch", received, *make_foreign_options(sandbox), cwd=tmp_path, code=None
    )  # the service is typed, and kept
    person = run_as_person(lambda host: retry(str(received), settings, host, RetryRequest()), tmp_path)
    [quote] = person.asked
    assert quote.plan.price_source != "--price"
    assert quote.price > 1
    table = rows(received)
    assert table[0]["result_status"] == "failed"
    assert "lies outside the run's folder" in str(table[0]["result_error"])
    assert table[1]["result_status"] == "done"
    posted = sandbox.ledger(full=True)["requests"]
    assert len(posted) == 3, "two by who made it, and one now"


def test_results_of_a_received_run_had_their_pictures_read_where_it_says(
    tmp_path: Path, sandbox: RunningSandbox, received: Path, private: Path
) -> None:
    (received / "results.csv").write_text(f"sku,image,prompt\na,{private.name},x\nb,{private},x\n")
    stdout = batchedit("plan", received / "results.csv", *make_foreign_options(sandbox), cwd=tmp_path, code=65).stdout
    assert "'passport.png' is neither" in stdout
    assert "lies outside the sheet's folder" in stdout


def test_a_received_run_had_a_private_picture_shown(tmp_path: Path, received: Path, private: Path) -> None:
    batchedit("gallery", received, cwd=tmp_path)
    digest = sha256(private.read_bytes()).hexdigest()
    stored = {path.name for path in (received / "thumbs").iterdir()}
    assert not stored & {to_thumb_name(digest), to_thumb_name(digest, large=True)}


def test_what_is_ones_own_is_said_once(tmp_path: Path, sandbox: RunningSandbox, received: Path) -> None:
    with closing(sqlite3.connect(received / "checkpoint.sqlite")) as db, db:
        db.execute("UPDATE meta SET value = json_remove(value, '$.schema') WHERE name = 'settings'")
    batchedit("retry", received, *on(sandbox, "--mine"), cwd=tmp_path)
    assert [row["result_status"] for row in rows(received)] == ["done", "done"]
    again = batchedit("run", received, "--yes", cwd=tmp_path)
    assert "not known to be yours" not in again.stderr


def test_a_run_that_was_moved_is_still_ones_own(tmp_path: Path, sandbox: RunningSandbox) -> None:
    manifest(tmp_path / "m.csv", 1)
    sandbox.set_faults(["job:failed=first:1"])
    batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path, code=1)
    shutil.move(tmp_path / "outputs" / "m", tmp_path / "elsewhere")
    completed = batchedit("retry", "elsewhere", "--yes", cwd=tmp_path)
    assert "not known to be yours" not in completed.stderr


def make_older_version(run: Path, state: Path) -> None:
    """Neither the run nor the register knows of ids."""
    with closing(sqlite3.connect(run / "checkpoint.sqlite")) as db, db:
        db.execute("DELETE FROM meta WHERE name = 'run_ids'")
    with closing(sqlite3.connect(state / "register.sqlite")) as db, db:
        db.executescript("DROP TABLE made; DROP TABLE older")


def test_a_run_that_an_earlier_version_entered_goes_on_without_a_word(tmp_path: Path, sandbox: RunningSandbox) -> None:
    """Cron's retry of the night after the upgrade was refused."""
    manifest(tmp_path / "m.csv", 2)
    sandbox.set_faults(["job:failed=first:2"])
    batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path, code=1)
    make_older_version(tmp_path / "outputs" / "m", Path(os.environ["BATCHEDIT_STATE"]))
    completed = batchedit("retry", "outputs/m", "--row", 2, "--yes", cwd=tmp_path, code=1)
    assert "known to be yours" not in completed.stderr
    shutil.move(tmp_path / "outputs" / "m", tmp_path / "elsewhere")
    completed = batchedit("retry", "elsewhere", "--yes", cwd=tmp_path)
    assert "known to be yours" not in completed.stderr
    assert sandbox.ledger()["accepted"] == 4


def test_a_run_without_an_id_is_a_strangers_where_no_earlier_version_knew_it(
    tmp_path: Path, sandbox: RunningSandbox, received: Path
) -> None:
    """Neither what its record leaves out nor an entry of today makes it one's own."""
    state, submits_before = Path(os.environ["BATCHEDIT_STATE"]), sandbox.ledger()["submits_seen"]
    batchedit("runs", cwd=tmp_path)
    with closing(sqlite3.connect(received / "checkpoint.sqlite")) as db, db:
        db.execute("DELETE FROM meta WHERE name = 'run_ids'")
    for _ in range(2):  # the first one enters the run before it asks
        refused = batchedit("retry", received, *on(sandbox), cwd=tmp_path, code=64)
        assert "is not known to be yours" in refused.stderr
    Register(state).enter(Entry(received))
    batchedit("retry", received, *on(sandbox), cwd=tmp_path, code=64)
    assert sandbox.ledger()["submits_seen"] == submits_before


def test_every_setting_is_judged() -> None:
    """A new one is not believed of a stranger's run unless somebody decides so."""
    left_out = {field.name for field in fields(Settings)} - BELIEVED_SETTINGS
    assert left_out == {
        *("schema", "image_root", "out", "price", "canary", "on_doubt", "fresh", "another_account", "mine"),
        *("concurrency", "poll_seconds", "until", "origins", "allow_sleep", "store", "files"),
    }
    assert {field.name for field in fields(Settings)} >= BELIEVED_SETTINGS


# --- which service --------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [["-q"], ["--log-json"]])
@pytest.mark.parametrize(
    "command", ["plan m.csv", "run m.csv --yes", "fetch m", "retry m --yes", "cancel m", "doubt m"]
)
def test_a_service_that_is_not_the_vendors_was_hidden_by_quiet_and_never_said_by_plan(
    tmp_path: Path, sandbox: RunningSandbox, command: str, more: Sequence[str]
) -> None:
    manifest(tmp_path / "m.csv", 1)
    sandbox.set_faults(["job:failed=first:1"])
    batchedit("run", "m.csv", *on(sandbox), cwd=tmp_path, code=1)
    verb, *rest = command.split()
    buys_again = ["--buy-again", "all", "--yes"] if verb == "doubt" else []
    service = make_foreign_options(sandbox) if verb in {"plan", "run"} else []
    stderr = batchedit(verb, *rest, *service, *more, *buys_again, cwd=tmp_path, code=None).stderr
    if verb != "doubt":  # it finds nothing to decide about, and sends nothing
        assert f"the service is {sandbox.url}, not the vendor's" in stderr


def test_the_service_was_named_after_the_token_had_gone_there(tmp_path: Path) -> None:
    """The catalogue is asked first where the model is not built in."""
    manifest(tmp_path / "m.csv", 1)
    for command in (["plan"], ["run", "--yes"]):
        stderr = batchedit(
            *command, "m.csv", "--base-url", "http://127.0.0.1:9", "--model", "a/b", cwd=tmp_path, code=None
        ).stderr
        assert stderr.startswith("warning: the service is http://127.0.0.1:9, not the vendor's")
