"""The commands after a run: gallery, review, deliver, verify. Each calls ``commands`` or ``review`` and prints the result."""

from __future__ import annotations

import itertools
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..core.plurals_and_durations import pluralize
from ..core.safe_text import to_one_line
from ..core.shell_commands import format_command
from .browser import open_browser
from .commands import make_default_steps, make_steps
from .completion import complete_run
from .group import EPILOG, batchedit, command
from .options import COMMON_OPTIONS, STORE_OPTION, options, read_given_options

if TYPE_CHECKING:
    from ..commands.review import ReviewStatus


@command("gallery")
@click.argument("run", shell_complete=complete_run)
@options(STORE_OPTION, COMMON_OPTIONS)
@click.pass_context
def gallery(ctx: click.Context, /, run: str, quiet: bool, **_: Any) -> int:
    """A page to look through, opened from disk; works while a run is going on."""
    from ..commands import gallery as gallery_command  # noqa: PLC0415 - `--help` needs none of it

    page = gallery_command.gallery(run, read_given_options(ctx), make_steps(ctx))
    click.echo(to_one_line(page.path))
    if not quiet:
        odd_text = f", {page.flagged:,} with something odd" if page.flagged else ""
        _print_hint(f"{pluralize(page.pictures, 'picture')}{odd_text}")
        if not page.kept:
            _print_hint("  a run is going on: this is what was there by now, and result_flags are not written")
        _print_hint(f"  → open it in a browser; to decide and have it kept: {format_command('review', page.run)}")
    return 0


@command("review")
@click.argument("run", shell_complete=complete_run)
@click.option("--import", "decisions", metavar="FILE", help="Take in a decisions.csv that the gallery exported.")
@click.option("--no-open", is_flag=True, help="Don't open a browser; only show the address.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="[default: any free one]")
@click.option("--as", "who", metavar="NAME", default="", help="Who decides.  [default: your login name]")
@options(STORE_OPTION, COMMON_OPTIONS)
@click.pass_context
def review(
    ctx: click.Context, /, *, run: str, decisions: str | None, no_open: bool, port: int, who: str, **_: Any
) -> int:
    """Look, approve, reject, note: the gallery served on this machine, every mark kept at once."""
    from ..commands import review as review_command  # noqa: PLC0415 - `--help` needs none of it

    if decisions is not None:
        intake, summary = review_command.import_decisions(run, read_given_options(ctx), Path(decisions), who=who)
        other_counts = ((intake.same, "known"), (intake.older, "older than what stands"))
        counts_text = "".join(f", {count:,} {name}" for count, name in other_counts if count)
        click.echo(f"{pluralize(intake.written, 'decision')} taken in{counts_text}")
        _print_progress(summary)
        return 0

    def show_address(url: str) -> None:
        click.echo(url)
        sys.stdout.flush()
        _print_hint("  A approve, R reject, H hold, N note, U undo. End with Finish on the page, or Ctrl-C here.")
        if not no_open:
            browser_stack.enter_context(open_browser(url))

    with ExitStack() as browser_stack:
        review_command.review(
            run, read_given_options(ctx), show_address, _print_progress, port=port, who=who, steps=make_steps(ctx)
        )
    return 0


@command("deliver")
@click.argument("run", shell_complete=complete_run)
@click.option("--to", required=True, metavar="DIR|FILE.zip", help="Where to: a new folder or zip file.")
@click.option("--force", is_flag=True, help="Replace an earlier delivery.")
@click.option("--with-costs", is_flag=True, help="With what each picture cost, and with the links as they are signed.")
@click.option("--sign", metavar="KEY", help="Sign it with this minisign secret key; the password is asked for.")
@options(STORE_OPTION, COMMON_OPTIONS)
@click.pass_context
def deliver(
    ctx: click.Context, /, run: str, to: str, force: bool, with_costs: bool, sign: str | None, quiet: bool, **_: Any
) -> int:
    """Hand on the approved pictures, with their manifest, checksums, contact sheet and the log of approvals."""
    from ..commands import deliver as deliver_command  # noqa: PLC0415 - `--help` needs none of it

    steps = make_steps(ctx)
    signer = _open_signer(Path(sign)) if sign else None
    delivered = deliver_command.deliver(
        run, read_given_options(ctx), Path(to), force=force, with_costs=with_costs, steps=steps, signer=signer
    )
    click.echo(to_one_line(delivered.to))
    if not quiet:
        if signer is not None:
            check_command = format_command("verify", delivered.to, "--key", _format_public_key(signer))
            _print_hint(f"  → its receiver checks it with: {check_command}")
        size_text = f"{delivered.bytes / 1e6:,.1f} MB"
        _print_hint(f"{pluralize(delivered.pictures, 'approved picture')}, {size_text}, each proven by its sha256")
        unseen_count = delivered.progress.pictures - delivered.progress.reviewed
        if unseen_count:
            _print_hint(f"  warning: {pluralize(unseen_count, 'picture')} not looked at yet")
            _print_hint(f"  → look at the rest: {format_command('review', delivered.run)}")
    return 0


@batchedit.command("verify", epilog=EPILOG)
@click.argument("delivery", metavar="FOLDER|FILE.zip")
@click.option("--key", metavar="KEY|FILE", help="The sender's minisign public key. It must be signed by this one.")
def verify(*, delivery: str, key: str | None) -> int:
    """Find any edit in what was delivered: a file that was changed, added or taken away. Exit code 1 if there is one.

    Without --key a signature is checked with the key that came along, which proves nothing about who signed.
    """
    from ..review.signing import read_public_key  # noqa: PLC0415 - `--help` needs none of it
    from ..review.verify import verify as check_delivery  # noqa: PLC0415

    verification = check_delivery(Path(delivery), read_public_key(key) if key else None, make_default_steps())
    signer_text = f", signed by {verification.key}" if verification.key else ""
    click.echo(to_one_line(f"{delivery}: {pluralize(verification.files, 'file')} as delivered{signer_text}"))
    for finding in verification.findings:
        click.echo(to_one_line(f"  {finding}"))
    if not verification.trusted and not verification.findings:
        reason = "that key came along with it" if verification.key else "it is not signed"
        _print_hint(f"  warning: {reason}, so whoever edits a file can make the rest fit; --key names the sender's key")
    return 1 if verification.findings else 0


def _open_signer(path: Path) -> Any:
    import os  # noqa: PLC0415 - `--help` needs none of it

    from ..review.signing import open_key  # noqa: PLC0415

    def ask_password() -> str:
        password = os.environ.get("BATCHEDIT_SIGN_PASSWORD")
        return password if password is not None else str(click.prompt(f"password of {path}", hide_input=True, err=True))

    return open_key(path, ask_password)


def _format_public_key(signer: Any) -> str:
    from ..review.signing import find_key_line  # noqa: PLC0415 - `--help` needs none of it

    return find_key_line(signer.public_key)


def _print_progress(summary: ReviewStatus) -> None:
    """Print the counts of decisions and what to type next."""
    run, progress = summary.folder, summary.progress
    counts = ((progress.approved, "approved"), (progress.rejected, "rejected"), (progress.held, "on hold"))
    counts_text = ", ".join(f"{count:,} {name}" for count, name in counts if count)
    _print_hint(f"{progress.reviewed:,} of {progress.pictures:,} looked at{f': {counts_text}' if counts_text else ''}")
    if progress.rejected:
        _print_hint(
            "  → another try for the rejected ones: "
            f"{format_command('redo', run, '--use-notes', *summary.room, *summary.store)}"
        )
    if progress.approved:
        _print_hint(
            f"  → hand on the approved ones: {format_command('deliver', run, '--to', _find_free_path(run), *summary.store)}"
        )
    if progress.reviewed < progress.pictures:
        _print_hint(f"  → to go on looking: {format_command('review', run, *summary.store)}")


def _find_free_path(run: Path) -> Path:
    """A path in this folder for the delivery of ``run`` that does not exist yet."""
    name = f"{run.absolute().name}-approved"
    return next(path for n in itertools.count(1) if not (path := Path(f"{name}{n if n > 1 else ''}")).exists())


def _print_hint(text: str) -> None:
    click.echo(to_one_line(text), err=True)
