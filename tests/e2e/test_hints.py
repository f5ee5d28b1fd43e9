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
from batchedit.commands.confirmation_file import Command, ConfirmationFolder
from batchedit.commands.offer_and_carry_out import Offer, Unattended, offer
from batchedit.commands.retry import RetryRequest
from batchedit.commands.trust import keep_typed
from batchedit.core.events import Accepted
from batchedit.core.model import Handle
from batchedit.ledger.lock import find_holder, hold_run_lock
from batchedit.ledger.opening import create_checkpoint, open_checkpoint
from batchedit.ledger.own_sandbox import HOST, hold_sandbox_lock
from batchedit.ledger.postgres.url import build_store_option, hide_password
from batchedit.ledger.rescue_file import rescue
from batchedit.sandbox import RunningSandbox, SandboxConfig, serve
from batchedit.settings.model import Settings
from tests.e2e.test_notify import hook
from tests.e2e.test_terminal import run_at_terminal
from tests.support.cli import make_env, manifest, on, rows, run_cli, until
from tests.support.fork_server import Child, ForkServer
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
        "format_command('retry', run, '--failed', *_format_cap_option_for(report, failed), *store)",
    ): "test_what_failed_was_moderated_or_may_have_been_bought",
    (
        "results/report.py",
        "format_command('retry', run, '--moderated', *_format_cap_option_for(report, moderated), *store)",
    ): "test_what_failed_was_moderated_or_may_have_been_bought",
    (
        "results/report.py",
        "format_command('retry', run, '--cancelled', *_format_cap_option_for(report, cancelled), *store)",
    ): "test_what_was_cancelled_and_what_was_too_late",
    ("cli/settle_commands.py", "format_command('fetch', folder)"): "test_what_was_cancelled_and_what_was_too_late",
    ("cli/commands.py", "format_command('run', run)"): "test_options_that_make_other_pictures_are_refused_for_a_run",
    (
        "cli/printed_text.py",
        "format_command('doubt', run, '--buy-again', _name_for_command(doubt, report), *report.room, *report.store)",
    ): "test_doubt_names_a_job_that_it_takes",
    (
        "cli/printed_text.py",
        "format_command('doubt', run, '--write-off', _name_for_command(doubt, report), *report.store)",
    ): "test_doubt_names_a_job_that_it_takes",
    (
        "cli/printed_text.py",
        "format_command('doubt', report.folder, '--request-id', f'{_name_for_command(doubt, report)}=ID', *report.store)",
    ): "test_an_id_that_was_pasted_is_collected",
    ("cli/printed_text.py", "format_command('fetch', run, *report.store)"): "test_what_can_not_be_collected",
    (
        "cli/printed_text.py",
        "format_command('fetch', report.folder, *report.store)",
    ): "test_an_id_that_was_pasted_is_collected",
    ("runcomfy/token.py", "format_command('login')"): "test_who_has_no_token_is_told_how_to_keep_one",
    ("cli/printed_text.py", "format_command('template')"): "test_nobody_has_a_run_yet",
    ("cli/printed_text.py", "format_command('template', '--examples')"): "test_nobody_has_a_run_yet",
    (
        "cli/source_commands.py",
        "format_command('run', folder / 'demo.csv', '--sandbox')",
    ): "test_the_help_names_commands_that_work",
    ("cli/printed_text.py", "format_command('run', '--help')"): "test_nobody_has_a_run_yet",
    ("cli/config_file.py", "format_command(command.name or 'run', '--help')"): "test_a_setting_that_does_not_exist",
    ("cli/review_commands.py", "format_command('review', page.run)"): "test_from_the_gallery_to_the_delivery",
    ("cli/review_commands.py", "format_command('review', delivered.run)"): "test_from_the_gallery_to_the_delivery",
    ("cli/review_commands.py", "format_command('redo', run, '--use-notes', *summary.room, *summary.store)"): (
        "test_a_redo_under_a_cap_that_is_used_up_names_one_that_suffices"
    ),
    ("cli/review_commands.py", "format_command('deliver', run, '--to', _find_free_path(run), *summary.store)"): (
        "test_from_the_gallery_to_the_delivery"
    ),
    (
        "cli/review_commands.py",
        "format_command('review', run, *summary.store)",
    ): "test_from_the_gallery_to_the_delivery",
    ("commands/deliver.py", "format_command('review', run.folder.path)"): "test_from_the_gallery_to_the_delivery",
    ("review/deliver.py", "format_command('review', run)"): "test_from_the_gallery_to_the_delivery",
    ("commands/redo.py", "format_command('review', run.folder.path)"): "test_from_the_gallery_to_the_delivery",
    ("commands/runs.py", "format_command('status', entry.folder, *store)"): "test_a_run_that_another_process_has",
    (
        "commands/runs.py",
        "format_command('gallery', entry.folder, *report.store)",
    ): "test_a_run_that_another_process_has",
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
    ("planning/other_runs.py", "format_command(command, run)"): "test_what_another_run_has",
    (
        "run_folder.py",
        "format_command('run', source, *options, '--out', folder.path)",
    ): "test_a_run_whose_copy_of_the_manifest_is_gone",
    (
        "commands/run.py",
        "format_command('run', source, '--config', run.folder.settings, '--out', run.folder.path)",
    ): ("test_a_sheet_that_was_changed_since"),
    (
        "commands/retry.py",
        "format_command('retry', run.folder.path, *words, *room, *store)",
    ): "test_a_retry_of_others_under_a_cap_that_is_used_up_names_one_that_suffices",
    ("commands/retry.py", "format_command('run', folder.path, *room, *store)"): "test_nothing_is_there_to_retry",
    ("commands/retry.py", "format_command('status', folder.path, *store)"): "test_nothing_is_there_to_retry",
    ("commands/doubt.py", "format_command('run', folder.path, *words)"): "test_nothing_is_there_to_retry",
    ("commands/doubt.py", "format_command('doubt', folder.path, *build_store_words(checkpoint))"): (
        "test_doubt_names_a_job_that_it_takes"
    ),
    ("run_folder.py", "format_command('runs')"): "test_a_run_that_is_not_there",
    ("run_folder.py", "format_command('run', given)"): "test_a_run_that_is_not_there",
    (
        "ledger/postgres/schema.py",
        "format_command('store', 'init', hide_password(url))",
    ): "test_a_store_that_is_not_made_or_forgets",
    (
        "ledger/postgres/durability.py",
        "format_command('store', 'init', shown_url, '--i-accept-loss')",
    ): "test_a_store_that_is_not_made_or_forgets",
    (
        "commands/take_in_rescued_ids.py",
        "format_command('audit', folder.path)",
    ): "test_an_id_that_contradicts_the_checkpoint",
    ("cli/detached.py", "format_command('status', shorten_path(launch.folder))"): "test_a_run_in_a_process_of_its_own",
    (
        "cli/review_commands.py",
        "format_command('verify', delivered.to, '--key', _format_public_key(signer))",
    ): "test_from_the_gallery_to_the_delivery",
    ("cli/live_commands.py", "format_command('resume', folder)"): "test_a_run_in_a_process_of_its_own",
    ("commands/models.py", "format_command('models')"): "test_a_model_that_is_not_there",
    (
        "commands/pause_stop_set.py",
        "format_command('run', shorten_path(folder.path), *room, *store)",
    ): "test_a_wish_for_a_run_that_its_cap_has_ended_names_a_cap_that_suffices",
    (
        "commands/confirmation_file.py",
        "format_command(verb, shorten_path(folder), *self._list_words(), *self._list_cap_words())",
    ): "test_a_yes_that_was_said_beforehand",
    (
        "commands/offer_and_carry_out.py",
        "format_command('run', shorten_path(Path(confirmation.folder)))",
    ): "test_a_yes_that_was_said_beforehand",
    ("planning/plan.py", "format_command('run', plan.source, '--out', 'FOLDER')"): "test_a_run_that_was_moved_away",
    ("cli/notices.py", "format_command('status', shorten_path(folder), '--watch')"): "test_what_a_message_says_to_type",
    ("results/report.py", "format_command('review', report.folder, *report.store)"): "test_what_a_message_says_to_type",
    (
        "ledger/postgres/bought_from.py",
        "format_command('sandbox', '--port', port)",
    ): "test_a_shared_run_whose_sandbox_has_ended",
    (
        "cli/printed_text.py",
        "format_command('gallery', shorten_path(run))",
    ): "test_where_the_pictures_of_a_canary_are_looked_at",
    (
        "cli/list_commands.py",
        "format_command('run', imported.name, '--store', imported.where)",
    ): "test_a_run_that_a_store_took_over",
    ("commands/runs.py", "format_command('gallery', run.name, *store)"): "test_a_run_that_a_store_took_over",
    ("commands/runs.py", "format_command('store', 'lift', run.name, *store)"): "test_a_run_that_a_store_took_over",
    ("commands/runs.py", "format_command('status', run.name, *store)"): "test_a_run_that_a_store_took_over",
    ("ledger/postgres/errors.py", "format_command('store', 'lift', run, *build_store_option(shown_url, os.environ))"): (
        "test_a_run_that_a_store_took_over"
    ),
    ("results/report.py", "format_command('run', report.folder, *report.store)"): "test_a_file_that_the_disk_refused",
    ("commands/import_run.py", "format_command('audit', folder.path)"): "test_a_store_that_could_not_take_a_run_over",
    (
        "ledger/postgres/imports.py",
        "format_command('runs', '--import', folder, '--store', shown_url)",
    ): "test_a_store_that_could_not_take_a_run_over",
}
"""``(file, call)`` → the test that types it."""

HELP = {"batchedit template --examples", "batchedit sandbox --help"}
"""What the help texts print."""


# --- the table is whole ---------------------------------------------------------------------------


def list_sources() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if not name.startswith("sandbox/"):  # a program of its own, whose titles hold these words
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def list_docstrings(tree: ast.Module) -> Iterator[ast.Constant]:
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
        for name, tree in list_sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "format_command"
    }
    assert printed == set(TABLE)
    assert set(TABLE.values()) <= set(globals())


def test_no_command_is_printed_but_by_the_one_place_that_quotes_its_words() -> None:
    """Some were put together by hand: unquoted, or with the word RUN, N or DIR, which nobody can type."""
    wrong = []
    for name, tree in list_sources():
        docstring_ids = {id(text) for text in list_docstrings(tree)}
        for node in ast.walk(tree):
            text = (
                ast.unparse(node)
                if isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in docstring_ids
                else ""
            )
            if re.search(rf"batchedit ((?:{VERBS})\b|\{{)", text):
                wrong.append(f"{name}:{node.lineno} {text}")
            if isinstance(node, ast.Import) and "shlex" in ast.unparse(node) and name != "core/shell_commands.py":
                wrong.append(f"{name}:{node.lineno} quotes by itself")
    assert wrong == []


def test_the_help_names_commands_that_work(typist: Typist) -> None:
    texts = [batchedit.help or "", *(command.help or "" for command in batchedit.commands.values())]
    assert set(re.findall(rf"batchedit (?:{VERBS})[^)\n]*", "\n".join(texts))) == HELP
    typist.type("batchedit sandbox --help")
    typist.type("batchedit template --examples")
    assert "10 done" in typist.type(typist.find_command("to rehearse it")).stdout


# --- typing ---------------------------------------------------------------------------------------


def split_words(command: str) -> list[str]:
    """The words behind ``batchedit`` as a shell reads them: bash where a word is written by its numbers."""
    if "$'" not in command:
        return shlex.split(command)[1:]
    script = f"printf '%s\\0' {command.removeprefix('batchedit ')}"
    stdout = subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout
    return [os.fsdecode(word) for word in stdout.split(b"\0")[:-1]]


@dataclass
class Typist:
    """Types commands in ``folder``, and those that were printed."""

    fork_server: ForkServer
    folder: Path
    printed_commands: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: object, code: int | None = 0) -> Child:
        """Type it and remember the commands that it printed, by what stands before each."""
        completed = self.fork_server.run(*arguments, cwd=self.folder, code=code)
        self.printed_commands = {}
        for line in (completed.stdout + completed.stderr).splitlines():
            if match := re.search(rf"^(.*?)(?:: | )(batchedit (?:{VERBS})\b.*)$", line):
                self.printed_commands[match[1].removeprefix("  → ").strip()] = match[2]
        return completed

    def type(self, command: str, *more: object, code: int | None = 0) -> Child:
        return self.run(*split_words(command), *more, code=code)

    def find_command(self, aim: str) -> str:
        """The command behind the words ``aim``."""
        (matching,) = [command for text, command in self.printed_commands.items() if aim in text] or [""]
        assert matching, (aim, self.printed_commands)
        return matching

    def list_states(self, run: str = "outputs/m") -> list[str]:
        return [str(row["result_status"]) for row in rows(self.folder / run)]

    def list_runs(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "outputs").iterdir())

    def review(self, command: str) -> str:
        """Type a ``batchedit review``, without its browser, until it shows its address; then Ctrl-C. Returns what it said."""
        child = self.fork_server.start(*split_words(command), "--no-open", cwd=self.folder)
        until(lambda: "http://127.0.0.1:" in child.stdout)
        os.kill(child.pid, signal.SIGINT)
        child.wait()
        assert "looked at" in child.stderr, child.stderr
        self.printed_commands = {}
        for line in child.stderr.splitlines():
            if match := re.search(r"→ (.*): (batchedit .*)$", line):
                self.printed_commands[match[1]] = match[2]
        return child.stderr


@pytest.fixture(scope="module")
def fork_server() -> Iterator[ForkServer]:
    running = ForkServer()
    yield running
    running.close()


@pytest.fixture
def typist(tmp_path: Path, fork_server: ForkServer) -> Typist:
    return Typist(fork_server, tmp_path)


def count_bought(sandbox: RunningSandbox) -> int:
    return int(sandbox.ledger()["accepted"])


# --- a run that ended -----------------------------------------------------------------------------


def test_a_run_that_its_cap_stopped_names_a_cap_that_suffices(typist: Typist) -> None:
    """ "to go on: batchedit run outputs/m" stopped at the same cap again."""
    manifest(typist.folder / "m.csv", 5)
    with serve(SandboxConfig(**QUICK)) as it:
        typist.run("run", "m.csv", *on(it, "--max-cost", "0.09", "--prompt", "a mug {sku}"), code=75)
        typist.run("status", "outputs/m")
        typist.type(typist.find_command("to go on"), "--yes")
        assert (typist.list_states(), typist.list_runs(), count_bought(it)) == (["done"] * 5, ["m"], 5)
        assert all(job["prompt"].startswith("a mug") for job in it.ledger(full=True)["requests"])


def test_a_cap_below_one_picture_names_a_cap_that_suffices(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 3)
    with serve(SandboxConfig(**QUICK)) as it:
        typist.run("run", "m.csv", *on(it, "--max-cost", "0.01"), code=75)
        assert count_bought(it) == 0
        typist.type(typist.find_command("to go on"), "--yes")
        assert count_bought(it) == 3


@pytest.mark.parametrize("wished", [("stop",), ("set", "-j", "3"), ("pause",), ("resume",)])
def test_a_wish_for_a_run_that_its_cap_has_ended_names_a_cap_that_suffices(
    typist: Typist, wished: tuple[str, ...]
) -> None:
    """ "to go on with it: batchedit run outputs/m" stopped at the same cap again."""
    manifest(typist.folder / "m.csv", 3)
    with serve(SandboxConfig(**QUICK)) as it:
        typist.run("run", "m.csv", *on(it, "--max-cost", "0.05"), code=75)
        verb, *arguments = wished
        typist.run(verb, "m.csv", *arguments, code=64)
        typist.type(typist.find_command("to go on with it"), "--yes")
        assert (typist.list_states(), count_bought(it)) == (["done"] * 3, 3)


def test_a_file_that_the_disk_refused(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 1)
    in_the_way = typist.folder / "outputs" / "m" / "live.json"
    with serve(SandboxConfig(**QUICK)) as it:
        typist.run("plan", "m.csv", *on(it)[:2])
        (in_the_way / "x").mkdir(parents=True)
        typist.run("run", "m.csv", *on(it), code=74)
        (in_the_way / "x").rmdir()
        in_the_way.rmdir()
        typist.type(typist.find_command("to write what is missing"), "--yes")
        assert (typist.list_states(), count_bought(it)) == (["done"], 1)


def test_a_retry_under_a_cap_that_is_used_up_names_one_that_suffices(typist: Typist) -> None:
    """ "retry outputs/m --failed" as it was printed asked, and then bought nothing."""
    manifest(typist.folder / "m.csv", 4)
    with serve(SandboxConfig(**QUICK, faults=("job:failed=at:1", "job:moderated=at:2"))) as it:
        typist.run("run", "m.csv", *on(it, "--max-cost", "0.08", "-j", 1), code=1)
        it.set_faults([])
        failed, moderated = (
            typist.find_command("to buy the failed ones anew"),
            typist.find_command("to try the moderated ones again"),
        )
        assert (failed.split()[-2:], moderated.split()[-2:]) == (["--max-cost", "0.12"], ["--max-cost", "0.12"])
        typist.type(failed, "--yes", code=1)
        assert count_bought(it) == 5
        typist.type(typist.find_command("to try the moderated ones again"), "--yes")
        assert (typist.list_states(), count_bought(it)) == (["done"] * 4, 6)


def test_a_retry_of_others_under_a_cap_that_is_used_up_names_one_that_suffices(typist: Typist) -> None:
    """What a retry names that finds nothing of its kind: it asked, and then bought nothing."""
    manifest(typist.folder / "m.csv", 2)
    with serve(SandboxConfig(**QUICK, faults=("job:moderated=at:1",))) as it:
        typist.run("run", "m.csv", *on(it, "--max-cost", "0.08", "-j", 1), code=1)
        it.set_faults([])
        typist.run("retry", "outputs/m", "--failed", "--yes", code=64)
        typist.type(typist.find_command("to buy the moderated ones anew"), "--yes")
        assert (typist.list_states(), count_bought(it)) == (["done"] * 2, 3)


def test_a_redo_under_a_cap_that_is_used_up_names_one_that_suffices(typist: Typist) -> None:
    """ "redo outputs/m --use-notes" as it was printed asked, and then bought nothing."""
    manifest(typist.folder / "m.csv", 3)
    with serve(SandboxConfig(**QUICK)) as it:
        typist.run("run", "m.csv", *on(it, "--max-cost", "0.12"))
        decisions = decide(typist.folder / "outputs" / "m", {"sku-1": "rejected", "sku-2": "rejected"})
        typist.run("review", "outputs/m", "--import", decisions)
        again = typist.find_command("another try for the rejected ones")
        assert again.endswith(" --max-cost 0.20")
        typist.review("batchedit review outputs/m")
        assert typist.find_command("another try for the rejected ones") == again
        typist.type(again, "--yes")
        assert (typist.list_states(), count_bought(it)) == (["done"] * 3, 5)


def test_a_doubt_under_a_cap_that_is_used_up_names_one_that_suffices(typist: Typist) -> None:
    """As it was printed it asked, gave the first purchase up for lost, and then bought nothing."""
    manifest(typist.folder / "m.csv", 2)
    with serve(SandboxConfig(**QUICK, faults=("submit:drop_after=at:2",))) as it:
        typist.run("run", "m.csv", *on(it, "--max-cost", "0.08", "-j", 1), code=76)
        it.set_faults([])
        typist.run("doubt", "outputs/m", code=76)
        again = typist.find_command("again all the same")
        assert again.endswith("--buy-again 3 --max-cost 0.12")
        typist.type(again, "--yes")
        assert (typist.list_states(), count_bought(it)) == (["done"] * 2, 3)


def test_a_run_that_stopped_names_what_goes_on(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 6)
    with serve(SandboxConfig(**QUICK, faults=("job:failed=at:1",))) as it:
        typist.run("run", "m.csv", *on(it, "--stop-after-failures", 1, "-j", 1, "--prompt", "a mug {sku}"), code=75)
        before = count_bought(it)
        assert before < 6
        typist.type(typist.find_command("to go on"), "--yes", code=1)
        assert (typist.list_states().count("done"), typist.list_runs(), count_bought(it)) == (5, ["m"], 6)


def test_what_failed_was_moderated_or_may_have_been_bought(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 5)
    faults = ("job:failed=at:1", "job:moderated=at:2", "submit:drop_after=at:3")
    with serve(SandboxConfig(**QUICK, faults=faults)) as it:
        typist.run("run", "m.csv", *on(it, "--prompt", "a mug {sku}", "-j", 1), code=76)
        it.set_faults([])
        failed, moderated = (
            typist.find_command("to buy the failed ones anew"),
            typist.find_command("to try the moderated ones again"),
        )
        doubt = typist.find_command("to decide about what may have been bought")
        for command, remaining in ((failed, "1 moderated, 1 in doubt"), (moderated, "1 in doubt")):
            before = count_bought(it)
            assert f"done, {remaining}\n" in typist.type(command, "--yes", code=76).stdout
            assert count_bought(it) == before + 1
        assert "1 job may have been bought" in typist.type(doubt, code=76).stdout
        assert typist.list_runs() == ["m"]
        assert {job["prompt"].split()[1] for job in it.ledger(full=True)["requests"]} == {"mug"}


def test_what_was_cancelled_and_what_was_too_late(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 3)
    with serve(SandboxConfig(latency="600", slots=1, plain_files=4_000)) as it:
        child = typist.fork_server.start("run", "m.csv", *on(it), cwd=typist.folder)
        until(lambda: count_bought(it) == 3)
        os.kill(child.pid, signal.SIGTERM)
        assert child.wait() == 143
        stdout = typist.run("cancel", "outputs/m").stdout
        assert "2 cancelled; 1 too late" in stdout
        typist.type(typist.find_command("collect them"), "--stuck-after", 1, code=75)
        again = typist.find_command("to buy the cancelled ones anew")
        typist.type(again, code=64)  # asks, and nobody answers
        assert count_bought(it) == 3
        child = typist.fork_server.start(*split_words(again), "--yes", cwd=typist.folder)
        until(lambda: count_bought(it) == 5)
        os.kill(child.pid, signal.SIGTERM)
        assert child.wait() == 143


def test_what_can_not_be_collected(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 2)
    with serve(SandboxConfig(latency="0.3", plain_files=4_000, faults=("job:slow@600=first:2",))) as it:
        typist.run("run", "m.csv", *on(it, "--stuck-after", 1), code=75)
        typist.type(typist.find_command("to collect what was bought"), code=75)
        typist.type(typist.find_command("to give up what can't be collected"), code=75)
        again, fetch, off = (
            typist.find_command(aim) for aim in ("buy row 2 again", "ask for what is not", "give row 2 up")
        )
        typist.type(fetch, code=75)
        assert count_bought(it) == 2
        it.set_faults([])
        typist.type(again, "--yes", code=75)
        assert (count_bought(it), typist.list_states()) == (3, ["done", "uncollected"])
        assert typist.type(off, code=64).stderr.endswith(": batchedit doubt outputs/m\n"), "row 2 is settled"
        typist.run("doubt", "outputs/m", code=75)
        typist.type(typist.find_command("give row 3 up"))
        typist.run("run", "outputs/m")
        assert typist.list_states() == ["done", "failed"]


def test_doubt_names_a_job_that_it_takes(typist: Typist) -> None:
    """It printed ROW, which is no row; and a row of several pictures is none that it takes."""
    manifest(typist.folder / "m.csv", 2)
    with serve(SandboxConfig(**QUICK, faults=("submit:drop_after=first:4",))) as it:
        typist.run("run", "m.csv", *on(it, "-j", 1, "--sizes", "1:1,2:3"), code=76)
        it.set_faults([])
        typist.run("doubt", "m.csv", code=76)
        again, off = typist.find_command("again all the same"), typist.find_command("up (or more of these")
        assert again.endswith(" --buy-again sku-1-1x1-1")
        before = count_bought(it)
        typist.type(again, "--yes", code=76)
        assert count_bought(it) == before + 1
        typist.type(off, code=64)
        assert "4 jobs" not in typist.type(typist.find_command("which there are"), code=76).stdout
        typist.type(typist.find_command("up (or more of these"), code=76)
        assert sorted(typist.list_states()) == ["done", "failed", "in_doubt", "in_doubt"]


def test_an_id_that_was_pasted_is_collected(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 1)
    with serve(SandboxConfig(**QUICK, faults=("submit:drop_after=at:1",))) as it:
        typist.run("run", "m.csv", *on(it), code=76)
        typist.run("doubt", "outputs/m", code=76)
        command = typist.find_command("found its id")
        assert command == "batchedit doubt outputs/m --request-id 2=ID"
        (job,) = it.ledger(full=True)["requests"]
        typist.type(command.replace("=ID", f"={job['request_id']}"))
        typist.type(typist.find_command("to collect"))
        assert (typist.list_states(), count_bought(it)) == (["done"], 1)


def test_nothing_is_there_to_retry(typist: Typist) -> None:
    """ "batchedit retry … --row N" could not be typed."""
    manifest(typist.folder / "m.csv", 5)
    faults = ("job:moderated=at:1", "submit:drop_after=at:2", "job:failed=at:3")
    with serve(SandboxConfig(**QUICK, faults=faults)) as it:
        typist.run("run", "m.csv", *on(it, "-j", 1), code=76)
        it.set_faults([])
        typist.run("doubt", "outputs/m", "--write-off", "all")
        typist.run("retry", "outputs/m", "--cancelled", "--yes", code=64)
        for kind, count in (("failed", 1), ("moderated", 1), ("written off", 1)):
            before = count_bought(it)
            ways = dict(typist.printed_commands)
            typist.type(typist.find_command(f"to buy the {kind} ones anew"), "--yes", code=None)
            assert count_bought(it) == before + count, kind
            typist.printed_commands = ways
        assert typist.list_states() == ["done"] * 5
        typist.run("retry", "outputs/m", "--yes", code=64)
        assert "5 done" in typist.type(typist.find_command("how the run stands")).stdout
        manifest(typist.folder / "n.csv", 3, prefix="n")
        typist.run("run", "n.csv", *on(it, "--max-cost", "0.05"), code=75)
        typist.run("doubt", "outputs/n", "--write-off", 2, code=64)
        goes_on = typist.find_command("what is not bought yet, a job")
        assert goes_on.endswith(" --max-cost 0.12")
        typist.run("retry", "outputs/n", "--failed", "--yes", code=64)
        assert typist.find_command("what is not bought yet") == goes_on
        typist.type(goes_on, "--yes")
        assert typist.list_states("outputs/n") == ["done"] * 3


# --- a run that is named --------------------------------------------------------------------------


def test_options_that_make_other_pictures_are_refused_for_a_run(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 2)
    with serve(SandboxConfig(**QUICK)) as it:
        typist.run("run", "m.csv", "--base-url", it.url, code=64)
        typist.run("run", "outputs/m", "--set", "prompt=other", "--yes", code=64)
        typist.type(typist.find_command("to go on with it as it is"), "--yes")
        assert count_bought(it) == 2


def test_a_sheet_that_was_changed_since(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 2)
    with serve(SandboxConfig(**QUICK)) as it:
        typist.run("run", "m.csv", *on(it, "--prompt", "a mug {sku}"))
        manifest(typist.folder / "m.csv", 3)
        typist.run("run", "outputs/m", "--yes")
        assert count_bought(it) == 2
        typist.type(typist.find_command("to take the changes in"), "--yes")
        assert (count_bought(it), typist.list_runs()) == (3, ["m"])
        assert {job["prompt"].split()[1] for job in it.ledger(full=True)["requests"]} == {"mug"}


def test_a_run_that_is_not_there(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 1)
    (typist.folder / "empty").mkdir()
    for name in ("nothing", "empty"):
        typist.run("status", name, code=66)
        typist.type(typist.find_command("see yours with"))
    typist.run("status", "m.csv", code=66)
    with serve(SandboxConfig(**QUICK)) as it:
        typist.type(typist.find_command("start one with"), *on(it))
        assert count_bought(it) == 1


def test_a_run_in_which_nothing_was_bought(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 1)
    run = typist.folder / "night"
    with serve(SandboxConfig(**QUICK)) as it:
        typist.run("run", "m.csv", "--base-url", it.url, "--out", "night", code=64)
        for path in (*run.glob("checkpoint.sqlite*"), *run.glob("manifest.*"), *run.glob("results.*")):
            path.unlink()
        create_checkpoint(run / "checkpoint.sqlite", model=Settings().model, service=it.url).close()
        typist.run("runs")
        typist.type(typist.find_command("nothing was ever bought in it; to start it"), *on(it))
        assert (count_bought(it), typist.list_states("night")) == (1, ["done"])


def test_a_run_whose_copy_of_the_manifest_is_gone(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 2)
    with serve(SandboxConfig(**QUICK)) as it:
        typist.run("run", "m.csv", *on(it, "--prompt", "a mug {sku}"))
        (typist.folder / "outputs" / "m" / "manifest.csv").unlink()
        typist.run("gallery", "outputs/m", code=66)
        typist.type(typist.find_command("take it in anew"), "--yes")
        assert (count_bought(it), (typist.folder / "outputs" / "m" / "manifest.csv").exists()) == (2, True)


def test_a_run_that_another_process_has(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 1)
    with serve(SandboxConfig(**QUICK)) as it:
        typist.run("run", "m.csv", *on(it))
        run = typist.folder / "outputs" / "m"
        with hold_run_lock(run, "run"):
            typist.run("runs")
            assert "1 done" in typist.type(typist.find_command("to see how it goes")).stdout
        typist.run("runs")
        typist.type(typist.find_command("to look through the pictures"))
        assert (run / "gallery.html").exists()


def test_a_model_that_is_not_there(typist: Typist) -> None:
    with serve(SandboxConfig(**QUICK)) as it:
        typist.run("models", "show", "nobody/none", "--base-url", it.url, code=66)
        stdout = typist.type(typist.find_command("which there are"), "--base-url", it.url).stdout
        model_ids = {line.split("  ")[0] for line in stdout.splitlines()}
        assert {"openai/gpt-4o-image/edit", "google/nano-banana-2/edit"} <= model_ids


def test_a_run_in_a_process_of_its_own(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 2)
    with serve(SandboxConfig(latency="600")) as it:
        typist.run("run", "m.csv", *on(it, "-j", 1, "--detach"))
        assert "going on" in typist.type(typist.find_command("to see how it goes")).stdout
        typist.run("pause", "outputs/m")
        typist.type(typist.find_command("to go on"))
        typist.run("stop", "outputs/m")
        later = typist.find_command("to go on with it later")
        until(lambda: not find_holder(typist.folder / "outputs" / "m"))
        typist.run("pause", "outputs/m", code=64)
        assert typist.find_command("to go on with it") == later
        assert "pid" in typist.type(later, "--yes", "--detach").stderr
        typist.run("stop", "outputs/m")
        until(lambda: not find_holder(typist.folder / "outputs" / "m"))


def test_a_yes_that_was_said_beforehand(typist: Typist) -> None:
    """To another price, and to the first few of a run."""
    manifest(typist.folder / "m.csv", 3)
    out = str(typist.folder / "outputs" / "m")
    with serve(SandboxConfig(**QUICK)) as it, chdir(typist.folder):
        keep_typed(make_env(), it.url)
        run_command = Command(verb="run", target="m.csv", given={"base_url": it.url, "out": out, "canary": 1})
        offered = anyio.run(offer, run_command, Unattended(make_env()))
        assert isinstance(offered, Offer)
        dearer = replace(offered.confirmation, price=1, nonce="other")
        typist.run("confirmed", ConfirmationFolder(make_env()).hand_in(dearer), code=64)
        assert typist.find_command("to be asked anew") == "batchedit run outputs/m"
        typist.run("confirmed", ConfirmationFolder(make_env()).hand_in(offered.confirmation), code=75)
        typist.type(typist.find_command("then buy the rest"), "--yes")
        assert (typist.list_states(), count_bought(it)) == (["done"] * 3, 3)


@pytest.mark.parametrize(
    ("command_fields", "expected"),
    [
        ({"verb": "retry", "wish": RetryRequest(failed=True, rows=(3,))}, "--failed --row 3"),
        ({"verb": "redo", "prompt_add": "no text"}, "--prompt-add 'no text'"),
        ({"verb": "doubt", "rows": ("4",)}, "--buy-again 4"),
    ],
    ids=lambda value: value["verb"] if isinstance(value, dict) else "",
)
def test_a_yes_to_another_question_named_a_command_without_its_words_and_its_cap(
    typist: Typist, command_fields: dict[str, Any], expected: str
) -> None:
    manifest(typist.folder / "m.csv", 3)
    faults = ("submit:422=at:2", "submit:drop_after=at:3") if command_fields["verb"] != "redo" else ()
    with serve(SandboxConfig(**QUICK, faults=faults)) as it, chdir(typist.folder):
        typist.run("run", "m.csv", *on(it, "-j", 1, "--max-cost", "0.12"), code=76 if faults else 0)
        if not faults:
            decisions = decide(typist.folder / "outputs" / "m", {"sku-2": "rejected"})
            typist.run("review", "outputs/m", "--import", decisions)
        settings = {"max_cost": 240_000}
        offered = anyio.run(
            offer, Command(target="outputs/m", given=settings, **command_fields), Unattended(make_env())
        )
        assert isinstance(offered, Offer)
        before = count_bought(it)
        dearer = replace(offered.confirmation, price=1, nonce="other")
        typist.run("confirmed", ConfirmationFolder(make_env()).hand_in(dearer), code=64)
        assert (
            typist.find_command("to be asked anew")
            == f"batchedit {command_fields['verb']} outputs/m {expected} --max-cost 0.24"
        )
        typist.type(typist.find_command("to be asked anew"), "--yes", code=None)
        assert count_bought(it) - before == offered.confirmation.count


def test_what_another_run_has(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 1)
    with serve(SandboxConfig(**QUICK, faults=("submit:drop_after=at:1",))) as it:
        typist.run("run", "m.csv", *on(it), code=76)
        manifest(typist.folder / "n.csv", 1)
        typist.run("plan", "n.csv", "--base-url", it.url)
        typist.type(typist.find_command("decide there"), "--write-off", 2)
        assert typist.list_states() == ["failed"]


def test_an_id_that_contradicts_the_checkpoint(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 1)
    run = typist.folder / "outputs" / "m"
    with serve(SandboxConfig(**QUICK)) as it:
        typist.run("run", "m.csv", *on(it))
        with closing(open_checkpoint(run / "checkpoint.sqlite", read_only=True)) as checkpoint:
            (record,) = checkpoint.records("1")
        rescue(run, record.id, record.job.key, Accepted(1.0, Handle("req-other")))
        typist.run("run", "outputs/m", "--yes")
        assert "req-other" in typist.type(typist.find_command("to see it again"), code=1).stdout


# --- around a run ---------------------------------------------------------------------------------


def test_who_has_no_token_is_told_how_to_keep_one(tmp_path: Path) -> None:
    """The hint knew the variable alone, which the next terminal has forgotten."""
    manifest(tmp_path / "m.csv", 1)
    env = make_env(RUNCOMFY_CONFIG_DIR=str(tmp_path / "kept"))
    del env["RUNCOMFY_API_TOKEN"]
    with serve(SandboxConfig(**QUICK)) as it:
        refused = run_cli("run", "m.csv", *on(it), cwd=tmp_path, env=env, code=77).stderr
        (command,) = re.findall(r"batchedit login.*$", refused, re.MULTILINE)
        run_cli(*split_words(command), cwd=tmp_path, env=env, stdin=b"a-token-of-mine\n")
        run_cli("run", "m.csv", *on(it), cwd=tmp_path, env=env)
        assert count_bought(it) == 1


def test_nobody_has_a_run_yet(typist: Typist) -> None:
    typist.run("runs")
    typist.type(typist.find_command("sheets to try it with"))
    assert (typist.folder / "manifests" / "demo.csv").exists()
    typist.run("runs")
    template, how = typist.find_command("a sheet to fill in"), typist.find_command("how to run yours")
    assert "--sandbox" in typist.type(how).stdout
    typist.type(template)
    assert (typist.folder / "manifest.xlsx").exists()


def test_a_setting_that_does_not_exist(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 1)
    (typist.folder / "s.toml").write_text("zzzzzz = 1\n", encoding="utf-8")
    typist.run("run", "m.csv", "--config", "s.toml", code=64)
    assert "--concurrency" in typist.type(typist.find_command("see")).stdout


def test_a_manifest_that_was_made(typist: Typist) -> None:
    """A name with a blank, and pictures that lie elsewhere: the options that they need stand in the command."""
    typist.run("plan", "my sheet.csv", code=66)
    typist.type(typist.find_command("For one to begin with"))
    shutil.rmtree(typist.folder / "manifests")
    photos = typist.folder / "new photos"
    photos.mkdir()
    from PIL import Image

    for n in range(2):
        Image.new("RGB", (64, 64), (90 * n, 80, 70)).save(photos / f"mug {n}.png")
    typist.run("plan", "new photos", code=65)
    typist.type(typist.find_command("To make a manifest of its pictures"))
    rehearse, count = typist.find_command("rehearse it"), typist.find_command("count and price it")
    assert "2 done" in typist.type(rehearse).stdout
    assert "2 pictures" in typist.type(count, "--no-check-images").stdout
    typist.run("template", "--to", "my sheet.csv")
    typist.type(typist.find_command("fill it in, then"), code=None)
    (typist.folder / "my feed.csv").write_text(
        '<?xml version="1.0"?><rss xmlns:g="http://base.google.com/ns/1.0"><channel><item><g:id>A-1</g:id><title>Mug</title>'
        "<g:image_link>https://shop.example.com/p/1.jpg</g:image_link></item></channel></rss>"
    )
    typist.run("plan", "my feed.csv", code=65)
    assert "1 row" in typist.type(typist.find_command("A feed of products becomes a sheet by")).stdout


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
        typist.run("run", "m.csv", *on(it, "--out", "the night"))
        typist.run("gallery", "m.csv", "--out", "the night")
        typist.review(typist.find_command("to decide and have it kept"))
        typist.review(typist.printed_commands["to go on looking"])
        typist.run("redo", "the night", "--yes", code=64)
        typist.review(typist.find_command("reject some with"))
        typist.run("deliver", "the night", "--to", "x", code=64)
        typist.review(typist.find_command("approve them first"))
        decisions = decide(typist.folder / "the night", {"sku-1": "approved", "sku-2": "rejected"})
        typist.run("review", "m.csv", "--out", "the night", "--import", decisions)
        redo, hand_on = (
            typist.find_command("another try for the rejected ones"),
            typist.find_command("hand on the approved ones"),
        )
        typist.type(redo, "--yes")
        assert count_bought(it) == 4
        key = typist.folder / "own.key"
        key.write_bytes(bytes(KeyPair.generate().secret_key))
        typist.type(hand_on, "--sign", key)
        ways = dict(typist.printed_commands)
        typist.type(typist.find_command("its receiver checks it with"))
        typist.printed_commands = ways
        assert len(list((typist.folder / "the night-approved").rglob("*.png"))) == 1
        typist.review(typist.find_command("look at the rest"))
        assert typist.printed_commands["hand on the approved ones"].endswith(" --to 'the night-approved2'")
        (picture,) = (typist.folder / "the night" / "files").glob("sku-1-*.png")
        picture.unlink()
        typist.run("deliver", "the night", "--to", "y", code=65)
        typist.review(typist.find_command("take back their approval"))


# --- a shared ledger ------------------------------------------------------------------------------


def test_a_store_that_is_not_made_or_forgets(typist: Typist) -> None:
    url = new_database(store=False)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {connection.info.dbname} SET synchronous_commit = off".encode())
    typist.run("workers", "--store", url, code=64)
    typist.type(typist.find_command("make one with"), code=74)
    typist.type(typist.find_command("if it may be borne, once"))
    older_store(url)
    typist.run("workers", "--store", url, code=74)
    typist.type(typist.find_command("once its workers have ended"), code=74)
    typist.type(typist.find_command("if it may be borne, once"))
    assert "nobody works in this store" in typist.run("workers", "--store", url).stdout


def test_a_run_that_a_store_took_over(typist: Typist) -> None:
    url = new_database()
    store = ("--store", url)
    manifest(typist.folder / "m.csv", 2)
    with serve(SandboxConfig(**QUICK)) as it:
        typist.run("run", "m.csv", *on(it, "--max-cost", "0.05"), code=75)
        typist.run("runs", "--import", "outputs/m", *store)
        typist.type(typist.find_command("to go on"), "--max-cost", "none", "--yes")
        assert count_bought(it) == 2
        typist.run("runs", *store)
        typist.type(typist.find_command("to look through the pictures"))
        it.set_faults(["job:stuck=first:9"])
        manifest(typist.folder / "n.csv", 3)
        typist.run("plan", "n.csv", *on(it)[:2])
        child = typist.fork_server.start("run", "n.csv", *on(it, *store, "--fresh"), cwd=typist.folder)
        until(lambda: "to see how it goes" in str(typist.run("runs", *store).stdout))
        assert "going on" in typist.type(typist.find_command("to see how it goes"), code=None).stdout
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    for doing, code, aim in (
        (("runs",), 0, "once it is clear which server"),
        (("work", "--run", "m", "--until-idle"), 74, "look first which server"),
    ):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("UPDATE batchedit.run SET halted = 'it went back in time' WHERE name = 'm'")
        typist.run(*doing, *store, code=code)
        typist.type(typist.find_command(aim))
        assert "went back" not in typist.run("runs", *store).stdout


def test_a_shared_run_whose_sandbox_has_ended(typist: Typist) -> None:
    store = ("--store", new_database())
    manifest(typist.folder / "m.csv", 2)
    with serve(SandboxConfig(**QUICK)) as it, hold_sandbox_lock(it.port, [HOST], os.environ):
        run = ("run", "m.csv", *on(it, *store))
        typist.run(*run, "--limit", 1, code=None)
    typist.run(*run, code=64)
    begin = typist.find_command("start it in another terminal")
    sandbox = typist.fork_server.start(
        *split_words(begin), *("--latency", "0", "--plain-files", "4000"), cwd=typist.folder
    )
    until(lambda: "listening" in sandbox.stdout)
    assert "2 done" in typist.run(*run).stdout
    os.kill(sandbox.pid, signal.SIGINT)
    assert sandbox.wait() == 130


def test_a_run_of_a_store_names_the_store_where_the_shell_does_not(typist: Typist) -> None:
    """ "batchedit doubt outputs/m" as it was printed was refused: the run is one of a store."""
    url = new_database()
    manifest(typist.folder / "m.csv", 4)
    with serve(SandboxConfig(**QUICK, faults=("job:failed=at:1", "submit:drop_after=at:2"))) as it:
        typist.run("run", "m.csv", *on(it, "--store", url, "--max-cost", "0.12", "-j", 1), code=75)
        it.set_faults([])
        decide_about, retry = (
            typist.find_command("what may have been bought"),
            typist.find_command("to buy the failed ones anew"),
        )
        typist.type(typist.find_command("to go on"), "--yes", "--max-cost", "none", code=76)
        typist.type(decide_about, code=76)
        typist.type(typist.find_command("give row 3 up"))
        typist.type(retry, "--yes")
        assert sorted(typist.list_states()) == ["done", "done", "done", "failed"]
        before = count_bought(it)
        in_the_shell = ForkServer(BATCHEDIT_STORE=url)
        with closing(in_the_shell):
            shell = Typist(in_the_shell, typist.folder)
            assert url not in shell.run("runs").stdout
            shell.type(shell.find_command("to look through the pictures"))
        assert count_bought(it) == before


def test_an_address_is_printed_without_its_password_and_says_so_when_it_is_typed(typist: Typist) -> None:
    typist.run("runs", "--store", "postgresql://ann:***@127.0.0.1/none", code=64)
    assert "in the place of ***" in typist.run("runs", "--store", "postgresql://h/d?password=***", code=64).stderr
    address = "postgresql://ann:secret@127.0.0.1/none"
    assert build_store_option(hide_password(address), {}) == ["--store", "postgresql://ann:***@127.0.0.1/none"]
    assert build_store_option(hide_password(address), {"BATCHEDIT_STORE": address}) == []
    assert build_store_option("", {}) == []


def test_a_store_that_could_not_take_a_run_over(typist: Typist) -> None:
    url = new_database()
    manifest(typist.folder / "m.csv", 1)
    with serve(SandboxConfig(**QUICK)) as it:
        typist.run("run", "m.csv", *on(it))
        (picture,) = (typist.folder / "outputs" / "m" / "files").iterdir()
        content = picture.read_bytes()
        picture.write_bytes(b"another picture")
        typist.run("runs", "--import", "outputs/m", "--store", url, code=74)
        typist.type(typist.find_command("all of it"), code=1)
        picture.write_bytes(content)
        given_up = ("runs", "--import", "outputs/m", "--store", url)
        typist.fork_server.start(*given_up, cwd=typist.folder, doom=("given_up", 1)).wait()
        typist.run("run", "m.csv", *on(it, "--store", url), code=64)
        assert "everything adds up" in typist.type(typist.find_command("it is ended by")).stdout
        assert count_bought(it) == 1


# --- messages and questions -----------------------------------------------------------------------


def test_what_a_message_says_to_type(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 1)
    with hook() as (url, messages), serve(SandboxConfig(**QUICK)) as it:
        typist.run("run", "m.csv", *on(it, "--notify", url))
        until(lambda: len(messages) == 2)
        text = "\n".join(message["text"] for message in messages)
        watch, review = (re.search(rf"→ {aim}: (.*)", text) for aim in ("to see how it goes", "to look at them"))
        assert watch is not None
        assert review is not None
        assert "1 done" in typist.type(watch[1]).stdout
        typist.review(review[1])


def test_where_the_pictures_of_a_canary_are_looked_at(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 4)
    with serve(SandboxConfig(**QUICK)) as it:
        arguments = ["run", "m.csv", "--base-url", it.url, "--canary", "2"]
        dialogue = (("Buy 2 first", "y\n"), ("Buy the other 2", "n\n"))
        screen, code = run_at_terminal(arguments, typist.folder, *dialogue)
        assert code == 64, screen
        look = re.search(r"another terminal: (batchedit gallery \S+)", " ".join(screen.split()))
        assert look is not None, screen
        typist.type(look[1])


def test_a_run_that_was_moved_away(typist: Typist) -> None:
    manifest(typist.folder / "m.csv", 1)
    with serve(SandboxConfig(**QUICK)) as it:
        typist.run("run", "m.csv", *on(it))
        (typist.folder / "outputs" / "m").rename(typist.folder / "moved")
        typist.run("run", "m.csv", *on(it)[:2], code=64)
        printed_command = typist.find_command("To go on in it where it is now")
        typist.run("run", "m.csv", *on(it), code=64)
        (hint,) = [
            command for aim, command in typist.printed_commands.items() if aim == "to go on in it where it is now"
        ]
        assert hint == printed_command
        typist.type(hint.replace("FOLDER", "moved"), *on(it)[:2])
        assert count_bought(it) == 1


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
        typist.run("status", "--", sheet, code=66)
        typist.type(typist.find_command("start one with"), *on(it, "--max-cost", "0.05", f"--out={out}"), code=75)
        typist.type(typist.find_command("to go on"), "--yes")
        assert (typist.list_states(out), count_bought(it)) == (["done"] * 2, 2)
        assert (typist.folder / out / "results.csv").exists()
        typist.run("runs")
        typist.type(typist.find_command("to look through the pictures"))
