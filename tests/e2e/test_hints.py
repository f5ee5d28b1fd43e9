"""Each command that a message, a status or the help prints is typed, from the same folder, and does what was said.

``TABLE`` says which test types which: a command that is printed anywhere in the package and is not in it fails here.
"""

from __future__ import annotations

import ast
import csv
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import chdir, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import psycopg
import pytest
from minisign import KeyPair

from batchedit.cli.app import batchedit
from batchedit.commands.carry import Offer, Unattended, offer
from batchedit.commands.confirmation import Command, Desk
from batchedit.commands.retry import RetryRequest
from batchedit.commands.trust import keep_typed
from batchedit.core.events import Accepted
from batchedit.core.model import Handle
from batchedit.ledger.lock import holder, run_lock
from batchedit.ledger.opening import create_checkpoint, open_checkpoint
from batchedit.ledger.own_sandbox import HOST, listening
from batchedit.ledger.postgres.url import blotted, words_for
from batchedit.ledger.rescue import rescue
from batchedit.sandbox import RunningSandbox, SandboxConfig, serve
from batchedit.settings.model import Settings
from tests.e2e.test_notify import hook
from tests.e2e.test_terminal import at_a_terminal
from tests.support.cli import environment, inside, manifest, on, rows, until
from tests.support.fork_server import Child, Nursery
from tests.support.postgres import new_database, older_store

PACKAGE = Path(__file__).parents[2] / "batchedit"
VERBS = "|".join(batchedit.commands)
QUICK = {"latency": "0", "plain_files": 4_000}

TABLE = {
    (
        "results/report.py",
        "format_command('run', run, *room, *store)",
    ): "test_a_run_that_its_cap_stopped_names_a_cap_that_suffices",
    ("results/report.py", "format_command('fetch', run, *store)"): "test_what_can_not_be_collected",
    ("results/report.py", "format_command('doubt', run, *store)"): "test_what_can_not_be_collected",
    (
        "results/report.py",
        "format_command('retry', run, '--failed', *_with_cap(report, failed), *store)",
    ): "test_what_failed_was_moderated_or_may_have_been_bought",
    (
        "results/report.py",
        "format_command('retry', run, '--moderated', *_with_cap(report, moderated), *store)",
    ): "test_what_failed_was_moderated_or_may_have_been_bought",
    (
        "results/report.py",
        "format_command('retry', run, '--cancelled', *_with_cap(report, cancelled), *store)",
    ): "test_what_was_cancelled_and_what_was_too_late",
    ("cli/settle_commands.py", "format_command('fetch', folder)"): "test_what_was_cancelled_and_what_was_too_late",
    ("cli/commands.py", "format_command('run', run)"): "test_options_that_make_other_pictures_are_refused_for_a_run",
    (
        "cli/show.py",
        "format_command('doubt', run, '--buy-again', _name(doubt, report), *report.room, *report.store)",
    ): "test_doubt_names_a_job_that_it_takes",
    (
        "cli/show.py",
        "format_command('doubt', run, '--write-off', _name(doubt, report), *report.store)",
    ): "test_doubt_names_a_job_that_it_takes",
    (
        "cli/show.py",
        "format_command('doubt', report.folder, '--request-id', f'{_name(doubt, report)}=ID', *report.store)",
    ): "test_an_id_that_was_pasted_is_collected",
    ("cli/show.py", "format_command('fetch', run, *report.store)"): "test_what_can_not_be_collected",
    ("cli/show.py", "format_command('fetch', report.folder, *report.store)"): "test_an_id_that_was_pasted_is_collected",
    ("runcomfy/token.py", "format_command('login')"): "test_who_has_no_token_is_told_how_to_keep_one",
    ("cli/show.py", "format_command('template')"): "test_nobody_has_a_run_yet",
    ("cli/show.py", "format_command('template', '--examples')"): "test_nobody_has_a_run_yet",
    (
        "cli/source_commands.py",
        "format_command('run', folder / 'demo.csv', '--sandbox')",
    ): "test_the_help_names_commands_that_work",
    ("cli/show.py", "format_command('run', '--help')"): "test_nobody_has_a_run_yet",
    ("cli/config_file.py", "format_command(command.name or 'run', '--help')"): "test_a_setting_that_does_not_exist",
    ("cli/review_commands.py", "format_command('review', made.run)"): "test_from_the_gallery_to_the_delivery",
    ("cli/review_commands.py", "format_command('review', done.run)"): "test_from_the_gallery_to_the_delivery",
    ("cli/review_commands.py", "format_command('redo', run, '--use-notes', *looked.room, *looked.store)"): (
        "test_a_redo_under_a_cap_that_is_used_up_names_one_that_suffices"
    ),
    ("cli/review_commands.py", "format_command('deliver', run, '--to', _free(run), *looked.store)"): (
        "test_from_the_gallery_to_the_delivery"
    ),
    ("cli/review_commands.py", "format_command('review', run, *looked.store)"): "test_from_the_gallery_to_the_delivery",
    ("commands/deliver.py", "format_command('review', run.folder.path)"): "test_from_the_gallery_to_the_delivery",
    ("review/deliver.py", "format_command('review', run)"): "test_from_the_gallery_to_the_delivery",
    ("commands/redo.py", "format_command('review', run.folder.path)"): "test_from_the_gallery_to_the_delivery",
    ("commands/runs.py", "format_command('status', entry.folder, *store)"): "test_a_run_that_another_process_has",
    ("commands/runs.py", "format_command('gallery', entry.folder, *report.store)"): "test_a_run_that_another_process_has",
    (
        "commands/runs.py",
        "format_command('run', Path(entry.source), '--out', entry.folder)",
    ): "test_a_run_in_which_nothing_was_bought",
    ("cli/source_commands.py", "format_command('run', path, *roots, '--sandbox')"): "test_a_manifest_that_was_made",
    ("cli/source_commands.py", "format_command('plan', path, *roots)"): "test_a_manifest_that_was_made",
    ("cli/source_commands.py", "format_command('plan', path)"): "test_a_manifest_that_was_made",
    ("manifest/read.py", "format_command('init', source)"): "test_a_manifest_that_was_made",
    ("manifest/read.py", "format_command('template', '--examples')"): "test_a_manifest_that_was_made",
    ("manifest/sniff.py", "format_command('init', path)"): "test_a_manifest_that_was_made",
    ("planning/other_runs.py", "format_command(verb, run)"): "test_what_another_run_has",
    (
        "run_folder.py",
        "format_command('run', source, *kept, '--out', folder.path)",
    ): "test_a_run_whose_copy_of_the_manifest_is_gone",
    (
        "commands/run.py",
        "format_command('run', source, '--config', run.folder.settings, '--out', run.folder.path)",
    ): ("test_a_sheet_that_was_changed_since"),
    (
        "commands/retry.py",
        "format_command('retry', run.folder.path, *words, *room_for(run.checkpoint, jobs), *build_store_words(run.checkpoint))",
    ): "test_a_retry_of_others_under_a_cap_that_is_used_up_names_one_that_suffices",
    ("commands/retry.py", "format_command('run', folder.path, *room, *store)"): "test_nothing_is_there_to_retry",
    ("commands/retry.py", "format_command('status', folder.path, *store)"): "test_nothing_is_there_to_retry",
    ("commands/doubt.py", "format_command('run', folder.path, *words)"): "test_nothing_is_there_to_retry",
    ("commands/doubt.py", "format_command('doubt', folder.path, *build_store_words(checkpoint))"): (
        "test_doubt_names_a_job_that_it_takes"
    ),
    ("run_folder.py", "format_command('runs')"): "test_a_run_that_is_not_there",
    ("run_folder.py", "format_command('run', given)"): "test_a_run_that_is_not_there",
    ("ledger/postgres/schema.py", "format_command('store', 'init', blotted(url))"): "test_a_store_that_is_not_made_or_forgets",
    (
        "ledger/postgres/durability.py",
        "format_command('store', 'init', where, '--i-accept-loss')",
    ): "test_a_store_that_is_not_made_or_forgets",
    ("commands/rescued.py", "format_command('audit', folder.path)"): "test_an_id_that_contradicts_the_checkpoint",
    ("cli/detached.py", "format_command('status', near(launch.folder))"): "test_a_run_in_a_process_of_its_own",
    (
        "cli/review_commands.py",
        "format_command('verify', done.to, '--key', _key_of(signer))",
    ): "test_from_the_gallery_to_the_delivery",
    ("cli/live_commands.py", "format_command('resume', folder)"): "test_a_run_in_a_process_of_its_own",
    ("commands/models.py", "format_command('models')"): "test_a_model_that_is_not_there",
    (
        "commands/wishes.py",
        "format_command('run', near(folder.path), *room, *store)",
    ): "test_a_wish_for_a_run_that_its_cap_has_ended_names_a_cap_that_suffices",
    (
        "commands/confirmation.py",
        "format_command(verb, near(folder), *self._words(), *self._room())",
    ): "test_a_yes_that_was_said_beforehand",
    ("commands/carry.py", "format_command('run', near(Path(confirmation.folder)))"): "test_a_yes_that_was_said_beforehand",
    ("planning/plan.py", "format_command('run', what.source, '--out', 'FOLDER')"): "test_a_run_that_was_moved_away",
    ("cli/notices.py", "format_command('status', near(folder), '--watch')"): "test_what_a_message_says_to_type",
    ("results/report.py", "format_command('review', report.folder, *report.store)"): "test_what_a_message_says_to_type",
    (
        "ledger/postgres/bought_from.py",
        "format_command('sandbox', '--port', port)",
    ): "test_a_shared_run_whose_sandbox_has_ended",
    ("cli/show.py", "format_command('gallery', near(run))"): "test_where_the_pictures_of_a_canary_are_looked_at",
    ("cli/list_commands.py", "format_command('run', done.name, '--store', done.where)"): "test_a_run_that_a_store_took_over",
    ("commands/runs.py", "format_command('gallery', run.name, *store)"): "test_a_run_that_a_store_took_over",
    ("commands/runs.py", "format_command('store', 'lift', run.name, *store)"): "test_a_run_that_a_store_took_over",
    ("commands/runs.py", "format_command('status', run.name, *store)"): "test_a_run_that_a_store_took_over",
    ("ledger/postgres/errors.py", "format_command('store', 'lift', run, *words_for(where, os.environ))"): (
        "test_a_run_that_a_store_took_over"
    ),
    ("results/report.py", "format_command('run', report.folder, *report.store)"): "test_a_file_that_the_disk_refused",
    ("commands/import_run.py", "format_command('audit', folder.path)"): "test_a_store_that_could_not_take_a_run_over",
    (
        "ledger/postgres/imports.py",
        "format_command('runs', '--import', folder, '--store', where)",
    ): "test_a_store_that_could_not_take_a_run_over",
}
"""``(file, call)`` → the test that types it."""

HELP = {"batchedit template --examples", "batchedit sandbox --help"}
"""What the help texts print."""


# --- the table is whole ---------------------------------------------------------------------------


def sources() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if not name.startswith("sandbox/"):  # a program of its own, whose titles hold these words
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def docstrings(tree: ast.Module) -> Iterator[ast.Constant]:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        bodies = [node.body] if isinstance(node, kinds) else []
        for body in bodies:
            for statement in body:
                if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                    yield statement.value


def test_every_command_that_is_printed_is_typed_by_a_test() -> None:
    printed = {
        (name, ast.unparse(node))
        for name, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "format_command"
    }
    assert printed == set(TABLE)
    assert set(TABLE.values()) <= set(globals())


def test_no_command_is_printed_but_by_the_one_place_that_quotes_its_words() -> None:
    """Some were put together by hand: unquoted, or with the word RUN, N or DIR, which nobody can type."""
    wrong = []
    for name, tree in sources():
        told = {id(text) for text in docstrings(tree)}
        for node in ast.walk(tree):
            text = ast.unparse(node) if isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in told else ""
            if re.search(rf"batchedit ((?:{VERBS})\b|\{{)", text):
                wrong.append(f"{name}:{node.lineno} {text}")
            if isinstance(node, ast.Import) and "shlex" in ast.unparse(node) and name != "core/typed.py":
                wrong.append(f"{name}:{node.lineno} quotes by itself")
    assert wrong == []


def test_the_help_names_commands_that_work(typist: Typist) -> None:
    texts = [batchedit.help or "", *(command.help or "" for command in batchedit.commands.values())]
    assert set(re.findall(rf"batchedit (?:{VERBS})[^)\n]*", "\n".join(texts))) == HELP
    typist.type("batchedit sandbox --help")
    typist.type("batchedit template --examples")
    assert "10 done" in typist.type(typist.way("to rehearse it")).stdout


# --- typing ---------------------------------------------------------------------------------------


def words_of(command: str) -> list[str]:
    """The words behind ``batchedit`` as a shell reads them: bash where a word is written by its numbers."""
    if "$'" not in command:
        return shlex.split(command)[1:]
    script = f"printf '%s\\0' {command.removeprefix('batchedit ')}"
    told = subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout
    return [os.fsdecode(word) for word in told.split(b"\0")[:-1]]


@dataclass
class Typist:
    """Types commands in ``folder``, and those that were printed."""

    nursery: Nursery
    folder: Path
    ways: dict[str, str] = field(default_factory=dict)

    def do(self, *words: object, code: int | None = 0) -> Child:
        """Type it and remember the commands that it printed, by what stands before each."""
        done = self.nursery.run(*words, cwd=self.folder, code=code)
        self.ways = {}
        for line in (done.stdout + done.stderr).splitlines():
            if found := re.search(rf"^(.*?)(?:: | )(batchedit (?:{VERBS})\b.*)$", line):
                self.ways[found[1].removeprefix("  → ").strip()] = found[2]
        return done

    def type(self, command: str, *more: object, code: int | None = 0) -> Child:
        return self.do(*words_of(command), *more, code=code)

    def way(self, aim: str) -> str:
        """The command behind the words ``aim``."""
        (found,) = [command for words, command in self.ways.items() if aim in words] or [""]
        assert found, (aim, self.ways)
        return found

    def states(self, run: str = "outputs/m") -> list[str]:
        return [str(row["result_status"]) for row in rows(self.folder / run)]

    def runs(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "outputs").iterdir())

    def reviews(self, command: str) -> str:
        """Type a ``batchedit review``, without its browser, until it shows its address; then Ctrl-C. Returns what it said."""
        child = self.nursery.start(*words_of(command), "--no-open", cwd=self.folder)
        until(lambda: "http://127.0.0.1:" in child.stdout)
        os.kill(child.pid, signal.SIGINT)
        child.wait()
        assert "looked at" in child.stderr, child.stderr
        self.ways = {}
        for line in child.stderr.splitlines():
            if found := re.search(r"→ (.*): (batchedit .*)$", line):
                self.ways[found[1]] = found[2]
        return child.stderr


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    found = Nursery()
    yield found
    found.close()


@pytest.fixture
def typist(tmp_path: Path, nursery: Nursery) -> Typist:
    return Typist(nursery, tmp_path)


def bought(sandbox: RunningSandbox) -> int:
    return int(sandbox.ledger()["accepted"])


# --- a run that ended -----------------------------------------------------------------------------


def test_a_run_that_its_cap_stopped_names_a_cap_that_suffices(typist: Typist) -> None:
    """ "to go on: batchedit run outputs/m" stopped at the same cap again."""
    manifest(typist.folder / "m.csv", 5)
    with serve(SandboxConfig(**QUICK)) as it:
        typist.do("run", "m.csv", *on(it, "--max-cost", "0.09", "--prompt", "a mug {sku}"), code=75)
        typist.do("status", "outputs/m")
        typist.type(typist.way("to go on"), "--yes")
        assert (typist.states(), typist.runs(), bought(it)) == (["done"] * 5, ["m"], 5)
        assert all(job["prompt"].startswith("a mug") for job in it.ledger(full=True)["requests"])


def test_a_cap_below_one_picture_names_a_cap_that_suffices(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 3)
    with serve(SandboxConfig(**QUICK)) as it:
        typist.do("run", "m.csv", *on(it, "--max-cost", "0.01"), code=75)
        assert bought(it) == 0
        typist.type(typist.way("to go on"), "--yes")
        assert bought(it) == 3


@pytest.mark.parametrize("wished", [("stop",), ("set", "-j", "3"), ("pause",), ("resume",)])
def test_a_wish_for_a_run_that_its_cap_has_ended_names_a_cap_that_suffices(
    typist: Typist, wished: tuple[str, ...]
) -> None:
    """ "to go on with it: batchedit run outputs/m" stopped at the same cap again."""
    manifest(typist.folder / "m.csv", 3)
    with serve(SandboxConfig(**QUICK)) as it:
        typist.do("run", "m.csv", *on(it, "--max-cost", "0.05"), code=75)
        verb, *words = wished
        typist.do(verb, "m.csv", *words, code=64)
        typist.type(typist.way("to go on with it"), "--yes")
        assert (typist.states(), bought(it)) == (["done"] * 3, 3)


def test_a_file_that_the_disk_refused(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 1)
    in_the_way = typist.folder / "outputs" / "m" / "live.json"
    with serve(SandboxConfig(**QUICK)) as it:
        typist.do("plan", "m.csv", *on(it)[:2])
        (in_the_way / "x").mkdir(parents=True)
        typist.do("run", "m.csv", *on(it), code=74)
        (in_the_way / "x").rmdir()
        in_the_way.rmdir()
        typist.type(typist.way("to write what is missing"), "--yes")
        assert (typist.states(), bought(it)) == (["done"], 1)


def test_a_retry_under_a_cap_that_is_used_up_names_one_that_suffices(typist: Typist) -> None:
    """ "retry outputs/m --failed" as it was printed asked, and then bought nothing."""
    manifest(typist.folder / "m.csv", 4)
    with serve(SandboxConfig(**QUICK, faults=("job:failed=at:1", "job:moderated=at:2"))) as it:
        typist.do("run", "m.csv", *on(it, "--max-cost", "0.08", "-j", 1), code=1)
        it.set_faults([])
        failed, moderated = typist.way("to buy the failed ones anew"), typist.way("to try the moderated ones again")
        assert (failed.split()[-2:], moderated.split()[-2:]) == (["--max-cost", "0.12"], ["--max-cost", "0.12"])
        typist.type(failed, "--yes", code=1)
        assert bought(it) == 5
        typist.type(typist.way("to try the moderated ones again"), "--yes")
        assert (typist.states(), bought(it)) == (["done"] * 4, 6)


def test_a_retry_of_others_under_a_cap_that_is_used_up_names_one_that_suffices(typist: Typist) -> None:
    """What a retry names that finds nothing of its kind: it asked, and then bought nothing."""
    manifest(typist.folder / "m.csv", 2)
    with serve(SandboxConfig(**QUICK, faults=("job:moderated=at:1",))) as it:
        typist.do("run", "m.csv", *on(it, "--max-cost", "0.08", "-j", 1), code=1)
        it.set_faults([])
        typist.do("retry", "outputs/m", "--failed", "--yes", code=64)
        typist.type(typist.way("to buy the moderated ones anew"), "--yes")
        assert (typist.states(), bought(it)) == (["done"] * 2, 3)


def test_a_redo_under_a_cap_that_is_used_up_names_one_that_suffices(typist: Typist) -> None:
    """ "redo outputs/m --use-notes" as it was printed asked, and then bought nothing."""
    manifest(typist.folder / "m.csv", 3)
    with serve(SandboxConfig(**QUICK)) as it:
        typist.do("run", "m.csv", *on(it, "--max-cost", "0.12"))
        decisions = decide(typist.folder / "outputs" / "m", {"sku-1": "rejected", "sku-2": "rejected"})
        typist.do("review", "outputs/m", "--import", decisions)
        again = typist.way("another try for the rejected ones")
        assert again.endswith(" --max-cost 0.20")
        typist.reviews("batchedit review outputs/m")
        assert typist.way("another try for the rejected ones") == again
        typist.type(again, "--yes")
        assert (typist.states(), bought(it)) == (["done"] * 3, 5)


def test_a_doubt_under_a_cap_that_is_used_up_names_one_that_suffices(typist: Typist) -> None:
    """As it was printed it asked, gave the first purchase up for lost, and then bought nothing."""
    manifest(typist.folder / "m.csv", 2)
    with serve(SandboxConfig(**QUICK, faults=("submit:drop_after=at:2",))) as it:
        typist.do("run", "m.csv", *on(it, "--max-cost", "0.08", "-j", 1), code=76)
        it.set_faults([])
        typist.do("doubt", "outputs/m", code=76)
        again = typist.way("again all the same")
        assert again.endswith("--buy-again 3 --max-cost 0.12")
        typist.type(again, "--yes")
        assert (typist.states(), bought(it)) == (["done"] * 2, 3)


def test_a_run_that_stopped_names_what_goes_on(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 6)
    with serve(SandboxConfig(**QUICK, faults=("job:failed=at:1",))) as it:
        typist.do("run", "m.csv", *on(it, "--stop-after-failures", 1, "-j", 1, "--prompt", "a mug {sku}"), code=75)
        before = bought(it)
        assert before < 6
        typist.type(typist.way("to go on"), "--yes", code=1)
        assert (typist.states().count("done"), typist.runs(), bought(it)) == (5, ["m"], 6)


def test_what_failed_was_moderated_or_may_have_been_bought(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 5)
    faults = ("job:failed=at:1", "job:moderated=at:2", "submit:drop_after=at:3")
    with serve(SandboxConfig(**QUICK, faults=faults)) as it:
        typist.do("run", "m.csv", *on(it, "--prompt", "a mug {sku}", "-j", 1), code=76)
        it.set_faults([])
        failed, moderated = typist.way("to buy the failed ones anew"), typist.way("to try the moderated ones again")
        doubt = typist.way("to decide about what may have been bought")
        for command, left in ((failed, "1 moderated, 1 in doubt"), (moderated, "1 in doubt")):
            before = bought(it)
            assert f"done, {left}\n" in typist.type(command, "--yes", code=76).stdout
            assert bought(it) == before + 1
        assert "1 job may have been bought" in typist.type(doubt, code=76).stdout
        assert typist.runs() == ["m"]
        assert {job["prompt"].split()[1] for job in it.ledger(full=True)["requests"]} == {"mug"}


def test_what_was_cancelled_and_what_was_too_late(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 3)
    with serve(SandboxConfig(latency="600", slots=1, plain_files=4_000)) as it:
        child = typist.nursery.start("run", "m.csv", *on(it), cwd=typist.folder)
        until(lambda: bought(it) == 3)
        os.kill(child.pid, signal.SIGTERM)
        assert child.wait() == 143
        told = typist.do("cancel", "outputs/m").stdout
        assert "2 cancelled; 1 too late" in told
        typist.type(typist.way("collect them"), "--stuck-after", 1, code=75)
        again = typist.way("to buy the cancelled ones anew")
        typist.type(again, code=64)  # asks, and nobody answers
        assert bought(it) == 3
        child = typist.nursery.start(*words_of(again), "--yes", cwd=typist.folder)
        until(lambda: bought(it) == 5)
        os.kill(child.pid, signal.SIGTERM)
        assert child.wait() == 143


def test_what_can_not_be_collected(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 2)
    with serve(SandboxConfig(latency="0.3", plain_files=4_000, faults=("job:slow@600=first:2",))) as it:
        typist.do("run", "m.csv", *on(it, "--stuck-after", 1), code=75)
        typist.type(typist.way("to collect what was bought"), code=75)
        typist.type(typist.way("to give up what can't be collected"), code=75)
        again, fetch, off = (typist.way(aim) for aim in ("buy row 2 again", "ask for what is not", "give row 2 up"))
        typist.type(fetch, code=75)
        assert bought(it) == 2
        it.set_faults([])
        typist.type(again, "--yes", code=75)
        assert (bought(it), typist.states()) == (3, ["done", "uncollected"])
        assert typist.type(off, code=64).stderr.endswith(": batchedit doubt outputs/m\n"), "row 2 is settled"
        typist.do("doubt", "outputs/m", code=75)
        typist.type(typist.way("give row 3 up"))
        typist.do("run", "outputs/m")
        assert typist.states() == ["done", "failed"]


def test_doubt_names_a_job_that_it_takes(typist: Typist) -> None:
    """It printed ROW, which is no row; and a row of several pictures is none that it takes."""
    manifest(typist.folder / "m.csv", 2)
    with serve(SandboxConfig(**QUICK, faults=("submit:drop_after=first:4",))) as it:
        typist.do("run", "m.csv", *on(it, "-j", 1, "--sizes", "1:1,2:3"), code=76)
        it.set_faults([])
        typist.do("doubt", "m.csv", code=76)
        again, off = typist.way("again all the same"), typist.way("up (or more of these")
        assert again.endswith(" --buy-again sku-1-1x1-1")
        before = bought(it)
        typist.type(again, "--yes", code=76)
        assert bought(it) == before + 1
        typist.type(off, code=64)
        assert "4 jobs" not in typist.type(typist.way("which there are"), code=76).stdout
        typist.type(typist.way("up (or more of these"), code=76)
        assert sorted(typist.states()) == ["done", "failed", "in_doubt", "in_doubt"]


def test_an_id_that_was_pasted_is_collected(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 1)
    with serve(SandboxConfig(**QUICK, faults=("submit:drop_after=at:1",))) as it:
        typist.do("run", "m.csv", *on(it), code=76)
        typist.do("doubt", "outputs/m", code=76)
        command = typist.way("found its id")
        assert command == "batchedit doubt outputs/m --request-id 2=ID"
        (job,) = it.ledger(full=True)["requests"]
        typist.type(command.replace("=ID", f"={job['request_id']}"))
        typist.type(typist.way("to collect"))
        assert (typist.states(), bought(it)) == (["done"], 1)


def test_nothing_is_there_to_retry(typist: Typist) -> None:
    """ "batchedit retry … --row N" could not be typed."""
    manifest(typist.folder / "m.csv", 5)
    faults = ("job:moderated=at:1", "submit:drop_after=at:2", "job:failed=at:3")
    with serve(SandboxConfig(**QUICK, faults=faults)) as it:
        typist.do("run", "m.csv", *on(it, "-j", 1), code=76)
        it.set_faults([])
        typist.do("doubt", "outputs/m", "--write-off", "all")
        typist.do("retry", "outputs/m", "--cancelled", "--yes", code=64)
        for kind, count in (("failed", 1), ("moderated", 1), ("written off", 1)):
            before = bought(it)
            ways = dict(typist.ways)
            typist.type(typist.way(f"to buy the {kind} ones anew"), "--yes", code=None)
            assert bought(it) == before + count, kind
            typist.ways = ways
        assert typist.states() == ["done"] * 5
        typist.do("retry", "outputs/m", "--yes", code=64)
        assert "5 done" in typist.type(typist.way("how the run stands")).stdout
        manifest(typist.folder / "n.csv", 3, prefix="n")
        typist.do("run", "n.csv", *on(it, "--max-cost", "0.05"), code=75)
        typist.do("doubt", "outputs/n", "--write-off", 2, code=64)
        goes_on = typist.way("what is not bought yet, a job")
        assert goes_on.endswith(" --max-cost 0.12")
        typist.do("retry", "outputs/n", "--failed", "--yes", code=64)
        assert typist.way("what is not bought yet") == goes_on
        typist.type(goes_on, "--yes")
        assert typist.states("outputs/n") == ["done"] * 3


# --- a run that is named --------------------------------------------------------------------------


def test_options_that_make_other_pictures_are_refused_for_a_run(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 2)
    with serve(SandboxConfig(**QUICK)) as it:
        typist.do("run", "m.csv", "--base-url", it.url, code=64)
        typist.do("run", "outputs/m", "--set", "prompt=other", "--yes", code=64)
        typist.type(typist.way("to go on with it as it is"), "--yes")
        assert bought(it) == 2


def test_a_sheet_that_was_changed_since(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 2)
    with serve(SandboxConfig(**QUICK)) as it:
        typist.do("run", "m.csv", *on(it, "--prompt", "a mug {sku}"))
        manifest(typist.folder / "m.csv", 3)
        typist.do("run", "outputs/m", "--yes")
        assert bought(it) == 2
        typist.type(typist.way("to take the changes in"), "--yes")
        assert (bought(it), typist.runs()) == (3, ["m"])
        assert {job["prompt"].split()[1] for job in it.ledger(full=True)["requests"]} == {"mug"}


def test_a_run_that_is_not_there(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 1)
    (typist.folder / "empty").mkdir()
    for name in ("nothing", "empty"):
        typist.do("status", name, code=66)
        typist.type(typist.way("see yours with"))
    typist.do("status", "m.csv", code=66)
    with serve(SandboxConfig(**QUICK)) as it:
        typist.type(typist.way("start one with"), *on(it))
        assert bought(it) == 1


def test_a_run_in_which_nothing_was_bought(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 1)
    run = typist.folder / "night"
    with serve(SandboxConfig(**QUICK)) as it:
        typist.do("run", "m.csv", "--base-url", it.url, "--out", "night", code=64)
        for path in (*run.glob("checkpoint.sqlite*"), *run.glob("manifest.*"), *run.glob("results.*")):
            path.unlink()
        create_checkpoint(run / "checkpoint.sqlite", model=Settings().model, service=it.url).close()
        typist.do("runs")
        typist.type(typist.way("nothing was ever bought in it; to start it"), *on(it))
        assert (bought(it), typist.states("night")) == (1, ["done"])


def test_a_run_whose_copy_of_the_manifest_is_gone(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 2)
    with serve(SandboxConfig(**QUICK)) as it:
        typist.do("run", "m.csv", *on(it, "--prompt", "a mug {sku}"))
        (typist.folder / "outputs" / "m" / "manifest.csv").unlink()
        typist.do("gallery", "outputs/m", code=66)
        typist.type(typist.way("take it in anew"), "--yes")
        assert (bought(it), (typist.folder / "outputs" / "m" / "manifest.csv").exists()) == (2, True)


def test_a_run_that_another_process_has(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 1)
    with serve(SandboxConfig(**QUICK)) as it:
        typist.do("run", "m.csv", *on(it))
        run = typist.folder / "outputs" / "m"
        with run_lock(run, "run"):
            typist.do("runs")
            assert "1 done" in typist.type(typist.way("to see how it goes")).stdout
        typist.do("runs")
        typist.type(typist.way("to look through the pictures"))
        assert (run / "gallery.html").exists()


def test_a_model_that_is_not_there(typist: Typist) -> None:
    with serve(SandboxConfig(**QUICK)) as it:
        typist.do("models", "show", "nobody/none", "--base-url", it.url, code=66)
        told = typist.type(typist.way("which there are"), "--base-url", it.url).stdout
        listed = {line.split("  ")[0] for line in told.splitlines()}
        assert {"openai/gpt-4o-image/edit", "google/nano-banana-2/edit"} <= listed


def test_a_run_in_a_process_of_its_own(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 2)
    with serve(SandboxConfig(latency="600")) as it:
        typist.do("run", "m.csv", *on(it, "-j", 1, "--detach"))
        assert "going on" in typist.type(typist.way("to see how it goes")).stdout
        typist.do("pause", "outputs/m")
        typist.type(typist.way("to go on"))
        typist.do("stop", "outputs/m")
        later = typist.way("to go on with it later")
        until(lambda: not holder(typist.folder / "outputs" / "m"))
        typist.do("pause", "outputs/m", code=64)
        assert typist.way("to go on with it") == later
        assert "pid" in typist.type(later, "--yes", "--detach").stderr
        typist.do("stop", "outputs/m")
        until(lambda: not holder(typist.folder / "outputs" / "m"))


def test_a_yes_that_was_said_beforehand(typist: Typist) -> None:
    """To another price, and to the first few of a run."""
    manifest(typist.folder / "m.csv", 3)
    out = str(typist.folder / "outputs" / "m")
    with serve(SandboxConfig(**QUICK)) as it, chdir(typist.folder):
        keep_typed(environment(), it.url)
        what = Command(verb="run", target="m.csv", given={"base_url": it.url, "out": out, "canary": 1})
        found = anyio.run(offer, what, Unattended(environment()))
        assert isinstance(found, Offer)
        dearer = replace(found.confirmation, price=1, nonce="other")
        typist.do("confirmed", Desk(environment()).hand_in(dearer), code=64)
        assert typist.way("to be asked anew") == "batchedit run outputs/m"
        typist.do("confirmed", Desk(environment()).hand_in(found.confirmation), code=75)
        typist.type(typist.way("then buy the rest"), "--yes")
        assert (typist.states(), bought(it)) == (["done"] * 3, 3)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"verb": "retry", "wish": RetryRequest(failed=True, rows=(3,))}, "--failed --row 3"),
        ({"verb": "redo", "prompt_add": "no text"}, "--prompt-add 'no text'"),
        ({"verb": "doubt", "rows": ("4",)}, "--buy-again 4"),
    ],
    ids=lambda value: value["verb"] if isinstance(value, dict) else "",
)
def test_a_yes_to_another_question_named_a_command_without_its_words_and_its_cap(
    typist: Typist, told: dict[str, Any], words: str
) -> None:
    manifest(typist.folder / "m.csv", 3)
    faults = ("submit:422=at:2", "submit:drop_after=at:3") if told["verb"] != "redo" else ()
    with serve(SandboxConfig(**QUICK, faults=faults)) as it, chdir(typist.folder):
        typist.do("run", "m.csv", *on(it, "-j", 1, "--max-cost", "0.12"), code=76 if faults else 0)
        if not faults:
            decisions = decide(typist.folder / "outputs" / "m", {"sku-2": "rejected"})
            typist.do("review", "outputs/m", "--import", decisions)
        given = {"max_cost": 240_000}
        found = anyio.run(offer, Command(target="outputs/m", given=given, **told), Unattended(environment()))
        assert isinstance(found, Offer)
        before = bought(it)
        dearer = replace(found.confirmation, price=1, nonce="other")
        typist.do("confirmed", Desk(environment()).hand_in(dearer), code=64)
        assert typist.way("to be asked anew") == f"batchedit {told['verb']} outputs/m {words} --max-cost 0.24"
        typist.type(typist.way("to be asked anew"), "--yes", code=None)
        assert bought(it) - before == found.confirmation.count


def test_what_another_run_has(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 1)
    with serve(SandboxConfig(**QUICK, faults=("submit:drop_after=at:1",))) as it:
        typist.do("run", "m.csv", *on(it), code=76)
        manifest(typist.folder / "n.csv", 1)
        typist.do("plan", "n.csv", "--base-url", it.url)
        typist.type(typist.way("decide there"), "--write-off", 2)
        assert typist.states() == ["failed"]


def test_an_id_that_contradicts_the_checkpoint(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 1)
    run = typist.folder / "outputs" / "m"
    with serve(SandboxConfig(**QUICK)) as it:
        typist.do("run", "m.csv", *on(it))
        with closing(open_checkpoint(run / "checkpoint.sqlite", read_only=True)) as checkpoint:
            (record,) = checkpoint.records("1")
        rescue(run, record.id, record.job.key, Accepted(1.0, Handle("req-other")))
        typist.do("run", "outputs/m", "--yes")
        assert "req-other" in typist.type(typist.way("to see it again"), code=1).stdout


# --- around a run ---------------------------------------------------------------------------------


def test_who_has_no_token_is_told_how_to_keep_one(tmp_path: Path) -> None:
    """The hint knew the variable alone, which the next terminal has forgotten."""
    manifest(tmp_path / "m.csv", 1)
    env = environment(RUNCOMFY_CONFIG_DIR=str(tmp_path / "kept"))
    del env["RUNCOMFY_API_TOKEN"]
    with serve(SandboxConfig(**QUICK)) as it:
        refused = inside("run", "m.csv", *on(it), cwd=tmp_path, env=env, code=77).stderr
        (command,) = re.findall(r"batchedit login.*$", refused, re.MULTILINE)
        inside(*words_of(command), cwd=tmp_path, env=env, stdin=b"a-token-of-mine\n")
        inside("run", "m.csv", *on(it), cwd=tmp_path, env=env)
        assert bought(it) == 1


def test_nobody_has_a_run_yet(typist: Typist) -> None:
    typist.do("runs")
    typist.type(typist.way("sheets to try it with"))
    assert (typist.folder / "manifests" / "demo.csv").exists()
    typist.do("runs")
    template, how = typist.way("a sheet to fill in"), typist.way("how to run yours")
    assert "--sandbox" in typist.type(how).stdout
    typist.type(template)
    assert (typist.folder / "manifest.xlsx").exists()


def test_a_setting_that_does_not_exist(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 1)
    (typist.folder / "s.toml").write_text("zzzzzz = 1\n", encoding="utf-8")
    typist.do("run", "m.csv", "--config", "s.toml", code=64)
    assert "--concurrency" in typist.type(typist.way("see")).stdout


def test_a_manifest_that_was_made(typist: Typist) -> None:
    """A name with a blank, and pictures that lie elsewhere: the options that they need stand in the command."""
    typist.do("plan", "my sheet.csv", code=66)
    typist.type(typist.way("For one to begin with"))
    shutil.rmtree(typist.folder / "manifests")
    photos = typist.folder / "new photos"
    photos.mkdir()
    from PIL import Image

    for n in range(2):
        Image.new("RGB", (64, 64), (90 * n, 80, 70)).save(photos / f"mug {n}.png")
    typist.do("plan", "new photos", code=65)
    typist.type(typist.way("To make a manifest of its pictures"))
    rehearse, count = typist.way("rehearse it"), typist.way("count and price it")
    assert "2 done" in typist.type(rehearse).stdout
    assert "2 pictures" in typist.type(count, "--no-check-images").stdout
    typist.do("template", "--to", "my sheet.csv")
    typist.type(typist.way("fill it in, then"), code=None)
    (typist.folder / "my feed.csv").write_text(
        '<?xml version="1.0"?><rss xmlns:g="http://base.google.com/ns/1.0"><channel><item><g:id>A-1</g:id><title>Mug</title>'
        "<g:image_link>https://shop.example.com/p/1.jpg</g:image_link></item></channel></rss>"
    )
    typist.do("plan", "my feed.csv", code=65)
    assert "1 row" in typist.type(typist.way("A feed of products becomes a sheet by")).stdout


def decide(folder: Path, verdicts: dict[str, str]) -> Path:
    """A decisions.csv as the gallery exports it."""
    keys = {str(row["sku"]): str(row["result_key"]) for row in rows(folder)}
    path = folder / "decisions.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["decision", "note", "when", "job"])
        for sku, verdict in verdicts.items():
            table.writerow([verdict, "", "2026-11-22T08:00:00Z", f"k{keys[sku]}"])
    return path


def test_from_the_gallery_to_the_delivery(typist: Typist) -> None:
    """With --out each of these named the sheet's own run; and "batchedit review" alone, or DIR, can't be typed."""
    manifest(typist.folder / "m.csv", 3)
    with serve(SandboxConfig(**QUICK)) as it:
        typist.do("run", "m.csv", *on(it, "--out", "the night"))
        typist.do("gallery", "m.csv", "--out", "the night")
        typist.reviews(typist.way("to decide and have it kept"))
        typist.reviews(typist.ways["to go on looking"])
        typist.do("redo", "the night", "--yes", code=64)
        typist.reviews(typist.way("reject some with"))
        typist.do("deliver", "the night", "--to", "x", code=64)
        typist.reviews(typist.way("approve them first"))
        decisions = decide(typist.folder / "the night", {"sku-1": "approved", "sku-2": "rejected"})
        typist.do("review", "m.csv", "--out", "the night", "--import", decisions)
        redo, hand_on = typist.way("another try for the rejected ones"), typist.way("hand on the approved ones")
        typist.type(redo, "--yes")
        assert bought(it) == 4
        key = typist.folder / "own.key"
        key.write_bytes(bytes(KeyPair.generate().secret_key))
        typist.type(hand_on, "--sign", key)
        ways = dict(typist.ways)
        typist.type(typist.way("its receiver checks it with"))
        typist.ways = ways
        assert len(list((typist.folder / "the night-approved").rglob("*.png"))) == 1
        typist.reviews(typist.way("look at the rest"))
        assert typist.ways["hand on the approved ones"].endswith(" --to 'the night-approved2'")
        (picture,) = (typist.folder / "the night" / "files").glob("sku-1-*.png")
        picture.unlink()
        typist.do("deliver", "the night", "--to", "y", code=65)
        typist.reviews(typist.way("take back their approval"))


# --- a shared ledger ------------------------------------------------------------------------------


def test_a_store_that_is_not_made_or_forgets(typist: Typist) -> None:
    url = new_database(store=False)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {connection.info.dbname} SET synchronous_commit = off".encode())
    typist.do("workers", "--store", url, code=64)
    typist.type(typist.way("make one with"), code=74)
    typist.type(typist.way("if it may be borne, once"))
    older_store(url)
    typist.do("workers", "--store", url, code=74)
    typist.type(typist.way("once its workers have ended"), code=74)
    typist.type(typist.way("if it may be borne, once"))
    assert "nobody works in this store" in typist.do("workers", "--store", url).stdout


def test_a_run_that_a_store_took_over(typist: Typist) -> None:
    url = new_database()
    store = ("--store", url)
    manifest(typist.folder / "m.csv", 2)
    with serve(SandboxConfig(**QUICK)) as it:
        typist.do("run", "m.csv", *on(it, "--max-cost", "0.05"), code=75)
        typist.do("runs", "--import", "outputs/m", *store)
        typist.type(typist.way("to go on"), "--max-cost", "none", "--yes")
        assert bought(it) == 2
        typist.do("runs", *store)
        typist.type(typist.way("to look through the pictures"))
        it.set_faults(["job:stuck=first:9"])
        manifest(typist.folder / "n.csv", 3)
        typist.do("plan", "n.csv", *on(it)[:2])
        child = typist.nursery.start("run", "n.csv", *on(it, *store, "--fresh"), cwd=typist.folder)
        until(lambda: "to see how it goes" in str(typist.do("runs", *store).stdout))
        assert "going on" in typist.type(typist.way("to see how it goes"), code=None).stdout
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    for doing, code, aim in (
        (("runs",), 0, "once it is clear which server"),
        (("work", "--run", "m", "--until-idle"), 74, "look first which server"),
    ):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("UPDATE batchedit.run SET halted = 'it went back in time' WHERE name = 'm'")
        typist.do(*doing, *store, code=code)
        typist.type(typist.way(aim))
        assert "went back" not in typist.do("runs", *store).stdout


def test_a_shared_run_whose_sandbox_has_ended(typist: Typist) -> None:
    store = ("--store", new_database())
    manifest(typist.folder / "m.csv", 2)
    with serve(SandboxConfig(**QUICK)) as it, listening(it.port, [HOST], os.environ):
        run = ("run", "m.csv", *on(it, *store))
        typist.do(*run, "--limit", 1, code=None)
    typist.do(*run, code=64)
    begin = typist.way("start it in another terminal")
    sandbox = typist.nursery.start(*words_of(begin), *("--latency", "0", "--plain-files", "4000"), cwd=typist.folder)
    until(lambda: "listening" in sandbox.stdout)
    assert "2 done" in typist.do(*run).stdout
    os.kill(sandbox.pid, signal.SIGINT)
    assert sandbox.wait() == 130


def test_a_run_of_a_store_names_the_store_where_the_shell_does_not(typist: Typist) -> None:
    """ "batchedit doubt outputs/m" as it was printed was refused: the run is one of a store."""
    url = new_database()
    manifest(typist.folder / "m.csv", 4)
    with serve(SandboxConfig(**QUICK, faults=("job:failed=at:1", "submit:drop_after=at:2"))) as it:
        typist.do("run", "m.csv", *on(it, "--store", url, "--max-cost", "0.12", "-j", 1), code=75)
        it.set_faults([])
        decide_about, retry = typist.way("what may have been bought"), typist.way("to buy the failed ones anew")
        typist.type(typist.way("to go on"), "--yes", "--max-cost", "none", code=76)
        typist.type(decide_about, code=76)
        typist.type(typist.way("give row 3 up"))
        typist.type(retry, "--yes")
        assert sorted(typist.states()) == ["done", "done", "done", "failed"]
        before = bought(it)
        in_the_shell = Nursery(BATCHEDIT_STORE=url)
        with closing(in_the_shell):
            shell = Typist(in_the_shell, typist.folder)
            assert url not in shell.do("runs").stdout
            shell.type(shell.way("to look through the pictures"))
        assert bought(it) == before


def test_an_address_is_printed_without_its_password_and_says_so_when_it_is_typed(typist: Typist) -> None:
    typist.do("runs", "--store", "postgresql://ann:***@127.0.0.1/none", code=64)
    assert "in the place of ***" in typist.do("runs", "--store", "postgresql://h/d?password=***", code=64).stderr
    address = "postgresql://ann:secret@127.0.0.1/none"
    assert words_for(blotted(address), {}) == ["--store", "postgresql://ann:***@127.0.0.1/none"]
    assert words_for(blotted(address), {"BATCHEDIT_STORE": address}) == []
    assert words_for("", {}) == []


def test_a_store_that_could_not_take_a_run_over(typist: Typist) -> None:
    url = new_database()
    manifest(typist.folder / "m.csv", 1)
    with serve(SandboxConfig(**QUICK)) as it:
        typist.do("run", "m.csv", *on(it))
        (picture,) = (typist.folder / "outputs" / "m" / "files").iterdir()
        content = picture.read_bytes()
        picture.write_bytes(b"another picture")
        typist.do("runs", "--import", "outputs/m", "--store", url, code=74)
        typist.type(typist.way("all of it"), code=1)
        picture.write_bytes(content)
        given_up = ("runs", "--import", "outputs/m", "--store", url)
        typist.nursery.start(*given_up, cwd=typist.folder, doom=("given_up", 1)).wait()
        typist.do("run", "m.csv", *on(it, "--store", url), code=64)
        assert "everything adds up" in typist.type(typist.way("it is ended by")).stdout
        assert bought(it) == 1


# --- messages and questions -----------------------------------------------------------------------


def test_what_a_message_says_to_type(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 1)
    with hook() as (url, came), serve(SandboxConfig(**QUICK)) as it:
        typist.do("run", "m.csv", *on(it, "--notify", url))
        until(lambda: len(came) == 2)
        told = "\n".join(message["text"] for message in came)
        watch, review = (re.search(rf"→ {aim}: (.*)", told) for aim in ("to see how it goes", "to look at them"))
        assert watch is not None
        assert review is not None
        assert "1 done" in typist.type(watch[1]).stdout
        typist.reviews(review[1])


def test_where_the_pictures_of_a_canary_are_looked_at(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 4)
    with serve(SandboxConfig(**QUICK)) as it:
        arguments = ["run", "m.csv", "--base-url", it.url, "--canary", "2"]
        dialogue = (("Buy 2 first", "y\n"), ("Buy the other 2", "n\n"))
        shown, code = at_a_terminal(arguments, typist.folder, *dialogue)
        assert code == 64, shown
        look = re.search(r"another terminal: (batchedit gallery \S+)", " ".join(shown.split()))
        assert look is not None, shown
        typist.type(look[1])


def test_a_run_that_was_moved_away(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 1)
    with serve(SandboxConfig(**QUICK)) as it:
        typist.do("run", "m.csv", *on(it))
        (typist.folder / "outputs" / "m").rename(typist.folder / "moved")
        typist.do("run", "m.csv", *on(it)[:2], code=64)
        told = typist.way("To go on in it where it is now")
        typist.do("run", "m.csv", *on(it), code=64)
        (hint,) = [command for aim, command in typist.ways.items() if aim == "to go on in it where it is now"]
        assert hint == told
        typist.type(hint.replace("FOLDER", "moved"), *on(it)[:2])
        assert bought(it) == 1


# --- odd names ------------------------------------------------------------------------------------

ODD = (
    "the shop", "it's", 'say "hi"', "-x", "--yes", "mug\tred", "two\nlines", "red\x1b[31m", "gift\u202enosj", "Straße",
    "$HOME", "a;b", "a`b", "*", "~", "back\\slash", "eins\\x1b", "'\x07'",
)  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_a_name_with_odd_characters_is_printed_so_that_it_can_be_typed(typist: Typist, name: str) -> None:
    sheet, out = f"{name}.csv", f"{name} run"
    manifest(typist.folder / sheet, 2)
    with serve(SandboxConfig(**QUICK)) as it:
        typist.do("status", "--", sheet, code=66)
        typist.type(typist.way("start one with"), *on(it, "--max-cost", "0.05", f"--out={out}"), code=75)
        typist.type(typist.way("to go on"), "--yes")
        assert (typist.states(out), bought(it)) == (["done"] * 2, 2)
        assert (typist.folder / out / "results.csv").exists()
        typist.do("runs")
        typist.type(typist.way("to look through the pictures"))
