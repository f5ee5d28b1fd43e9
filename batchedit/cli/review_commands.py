"""The morning's commands: gallery, review, deliver. Each calls ``morning`` and prints what came back."""

from __future__ import annotations

import itertools
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..core.typed import format_command
from ..core.visible import to_one_line
from ..core.words import pluralize
from .browser import opened_browser
from .commands import bare_steps, steps_of
from .completion import complete_run
from .group import EPILOG, batchedit, command
from .options import COMMON_OPTIONS, STORE_OPTION, given, options

if TYPE_CHECKING:
    from ..commands.review import ReviewStatus


@command("gallery")
@click.argument("run", shell_complete=complete_run)
@options(STORE_OPTION, COMMON_OPTIONS)
@click.pass_context
def gallery(ctx: click.Context, /, run: str, quiet: bool, **_: Any) -> int:
    """A page to look through, opened from disk; works while a run is going on."""
    from ..commands import gallery as making  # noqa: PLC0415 - `--help` needs none of it

    made = making.gallery(run, given(ctx), steps_of(ctx))
    click.echo(to_one_line(made.path))
    if not quiet:
        odd = f", {made.flagged:,} with something odd" if made.flagged else ""
        _say(f"{pluralize(made.pictures, 'picture')}{odd}")
        if not made.kept:
            _say("  a run is going on: this is what was there by now, and result_flags are not written")
        _say(f"  → open it in a browser; to decide and have it kept: {format_command('review', made.run)}")
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
    from ..commands import review as reviewing  # noqa: PLC0415 - `--help` needs none of it

    if decisions is not None:
        taken, looked = reviewing.import_decisions(run, given(ctx), Path(decisions), who=who)
        others = ((taken.same, "known"), (taken.older, "older than what stands"))
        words = "".join(f", {count:,} {name}" for count, name in others if count)
        click.echo(f"{pluralize(taken.written, 'decision')} taken in{words}")
        _tell_progress(looked)
        return 0

    def ready(url: str) -> None:
        click.echo(url)
        sys.stdout.flush()
        _say("  A approve, R reject, H hold, N note, U undo. End with Finish on the page, or Ctrl-C here.")
        if not no_open:
            opening.enter_context(opened_browser(url))

    with ExitStack() as opening:
        reviewing.review(run, given(ctx), ready, _tell_progress, port=port, who=who, steps=steps_of(ctx))
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
    from ..commands import deliver as delivery  # noqa: PLC0415 - `--help` needs none of it

    steps = steps_of(ctx)
    signer = _signer(Path(sign)) if sign else None
    done = delivery.deliver(run, given(ctx), Path(to), force=force, with_costs=with_costs, steps=steps, signer=signer)
    click.echo(to_one_line(done.to))
    if not quiet:
        if signer is not None:
            _say(f"  → its receiver checks it with: {format_command('verify', done.to, '--key', _key_of(signer))}")
        _say(f"{pluralize(done.pictures, 'approved picture')}, {done.bytes / 1e6:,.1f} MB, each proven by its sha256")
        left = done.progress.pictures - done.progress.reviewed
        if left:
            _say(f"  warning: {pluralize(left, 'picture')} not looked at yet")
            _say(f"  → look at the rest: {format_command('review', done.run)}")
    return 0


@batchedit.command("verify", epilog=EPILOG)
@click.argument("delivery", metavar="FOLDER|FILE.zip")
@click.option("--key", metavar="KEY|FILE", help="The sender's minisign public key. It must be signed by this one.")
def verify(*, delivery: str, key: str | None) -> int:
    """Find any edit in what was delivered: a file that was changed, added or taken away. Exit code 1 if there is one.

    Without --key a signature is checked with the key that came along, which proves nothing about who signed.
    """
    from ..review.signing import read_public_key  # noqa: PLC0415 - `--help` needs none of it
    from ..review.verify import verify as check  # noqa: PLC0415

    found = check(Path(delivery), read_public_key(key) if key else None, bare_steps())
    signed = f", signed by {found.key}" if found.key else ""
    click.echo(to_one_line(f"{delivery}: {pluralize(found.files, 'file')} as delivered{signed}"))
    for finding in found.findings:
        click.echo(to_one_line(f"  {finding}"))
    if not found.trusted and not found.findings:
        why = "that key came along with it" if found.key else "it is not signed"
        _say(f"  warning: {why}, so whoever edits a file can make the rest fit; --key names the sender's key")
    return 1 if found.findings else 0


def _signer(path: Path) -> Any:
    import os  # noqa: PLC0415 - `--help` needs none of it

    from ..review.signing import open_key  # noqa: PLC0415

    def ask() -> str:
        told = os.environ.get("BATCHEDIT_SIGN_PASSWORD")
        return told if told is not None else str(click.prompt(f"password of {path}", hide_input=True, err=True))

    return open_key(path, ask)


def _key_of(signer: Any) -> str:
    from ..review.signing import find_key_line  # noqa: PLC0415 - `--help` needs none of it

    return find_key_line(signer.public_key)


def _tell_progress(looked: ReviewStatus) -> None:
    """How far it is and what to type next."""
    run, progress = looked.folder, looked.progress
    counts = ((progress.approved, "approved"), (progress.rejected, "rejected"), (progress.held, "on hold"))
    words = ", ".join(f"{count:,} {name}" for count, name in counts if count)
    _say(f"{progress.reviewed:,} of {progress.pictures:,} looked at{f': {words}' if words else ''}")
    if progress.rejected:
        _say(
            "  → another try for the rejected ones: "
            f"{format_command('redo', run, '--use-notes', *looked.room, *looked.store)}"
        )
    if progress.approved:
        _say(f"  → hand on the approved ones: {format_command('deliver', run, '--to', _free(run), *looked.store)}")
    if progress.reviewed < progress.pictures:
        _say(f"  → to go on looking: {format_command('review', run, *looked.store)}")


def _free(run: Path) -> Path:
    """A name in this folder for the delivery of ``run`` that nothing has yet."""
    name = f"{run.absolute().name}-approved"
    return next(path for n in itertools.count(1) if not (path := Path(f"{name}{n if n > 1 else ''}")).exists())


def _say(text: str) -> None:
    click.echo(to_one_line(text), err=True)
