"""The morning's commands: gallery, review, deliver. Each calls ``morning`` and prints what came back."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from .group import command
from .options import COMMON_OPTIONS, given, options


@command("gallery")
@click.argument("run")
@options(COMMON_OPTIONS)
@click.pass_context
def gallery(ctx: click.Context, /, run: str, quiet: bool, **_: Any) -> int:
    """A page to look through, opened from disk; works while a run is going on."""
    from ..commands import gallery as making  # noqa: PLC0415 - `--help` needs none of it
    from .show import number  # noqa: PLC0415

    made = making.gallery(run, given(ctx), _bar(quiet, "thumbnails"))
    click.echo(made.path)
    if not quiet:
        _say(f"{number(made.pictures, 'picture')}, {made.flagged:,} with something odd")
        if not made.kept:
            _say("  a run is going on: this is what was there by now, and result_flags are not written")
        _say(f"  → open it in a browser; to decide and have it kept: batchedit review {shlex.quote(run)}")
    return 0


@command("review")
@click.argument("run")
@click.option("--import", "decisions", metavar="FILE", help="Take in a decisions.csv that the gallery exported.")
@click.option("--no-open", is_flag=True, help="Don't open a browser; only show the address.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="[default: any free one]")
@click.option("--as", "who", metavar="NAME", default="", help="Who decides.  [default: your login name]")
@options(COMMON_OPTIONS)
@click.pass_context
def review(
    ctx: click.Context, /, *, run: str, decisions: str | None, no_open: bool, port: int, who: str, quiet: bool, **_: Any
) -> int:
    """Look, approve, reject, note: the gallery served on this machine, every mark kept at once."""
    from ..commands import review as reviewing  # noqa: PLC0415 - `--help` needs none of it
    from ..core.review import Progress  # noqa: PLC0415

    if decisions is not None:
        taken, progress = reviewing.import_decisions(run, given(ctx), Path(decisions), who=who)
        click.echo(
            f"{taken.written:,} decisions taken in, {taken.same:,} known, {taken.older:,} older than what stands"
        )
        _tell_progress(progress, run)
        return 0

    def ready(url: str) -> None:
        click.echo(url)
        sys.stdout.flush()
        _say("  A approve, R reject, H hold, N note, U undo. End with Finish on the page, or Ctrl-C here.")
        if not no_open:
            opening.enter_context(_browser(url))

    def ended(progress: Progress) -> None:
        _tell_progress(progress, run)

    with ExitStack() as opening:
        reviewing.review(run, given(ctx), ready, ended, port=port, who=who, told=_bar(quiet, "thumbnails"))
    return 0


@contextmanager
def _browser(url: str) -> Iterator[None]:
    """Open the browser by a file only we can read: on a command line every user of the machine would see the token."""
    with TemporaryDirectory(prefix="batchedit-") as folder:
        page = Path(folder) / "review.html"
        page.write_text(f'<!doctype html><meta http-equiv="refresh" content="0; url={url}">', encoding="utf-8")
        click.launch(str(page))
        yield


@command("deliver")
@click.argument("run")
@click.option("--approved", is_flag=True, help="The approved pictures: what is delivered in any case.")
@click.option("--to", required=True, metavar="DIR|FILE.zip", help="Where to: a new folder or zip file.")
@click.option("--force", is_flag=True, help="Replace an earlier delivery.")
@options(COMMON_OPTIONS)
@click.pass_context
def deliver(ctx: click.Context, /, run: str, to: str, force: bool, quiet: bool, **_: Any) -> int:
    """Hand on the approved pictures, with their manifest, checksums, contact sheet and the log of approvals."""
    from ..commands import deliver as delivery  # noqa: PLC0415 - `--help` needs none of it
    from .show import number  # noqa: PLC0415

    done = delivery.deliver(run, given(ctx), Path(to), force=force, told=_bar(quiet, "copied"))
    click.echo(done.to)
    if not quiet:
        _say(f"{number(done.pictures, 'approved picture')}, {done.bytes / 1e6:,.1f} MB, each proven by its sha256")
        left = done.progress.pictures - done.progress.looked_at
        if left:
            _say(f"  careful: {number(left, 'picture')} not looked at yet")
            _say(f"  → look at the rest: batchedit review {shlex.quote(run)}")
    return 0


def _tell_progress(progress: Any, run: str) -> None:
    """How far it is and what to type next."""
    _say(
        f"{progress.looked_at:,} of {progress.pictures:,} looked at: {progress.approved:,} approved, "
        f"{progress.rejected:,} rejected, {progress.held:,} on hold"
    )
    name = shlex.quote(run)
    if progress.rejected:
        _say(f"  → another try for the rejected ones: batchedit redo {name} --rejected --use-notes")
    if progress.approved:
        _say(f"  → hand on the approved ones: batchedit deliver {name} --approved --to DIR")
    if progress.looked_at < progress.pictures:
        _say(f"  → to go on looking: batchedit review {name}")


def _say(text: str) -> None:
    click.echo(text, err=True)


def _bar(quiet: bool, what: str) -> Callable[[int, int], None]:
    """A bar on a terminal for what takes longer than a moment."""
    from tqdm import tqdm  # noqa: PLC0415 - `--help` needs none of it

    bar: tqdm[Any] = tqdm(desc=what, unit="", leave=False, delay=1, disable=quiet or not sys.stderr.isatty())

    def told(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)
        if done >= total:
            bar.close()

    return told
