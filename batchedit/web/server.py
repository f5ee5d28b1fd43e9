"""``batchedit ui``: the whole way from a dropped sheet to finished pictures, in a browser on this machine.

It listens on 127.0.0.1 only. Nothing is bought in this process: runs are separate processes, and they go on when the server,
the browser or the terminal ends.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout
from starlette.applications import Starlette
from starlette.middleware import Middleware

from ..commands.drafts import Drafts
from ..core.errors import UsageError
from ..ledger.register import Register
from ..review.local_server import LocalServer
from . import pages
from .after_run import AfterRun
from .buy import Buy
from .columns import Columns
from .desk import Desk
from .drop import Drop
from .guests import Colleagues, GuestFile, OnlyReview
from .offers import Offers
from .preview import Preview
from .price import Price
from .problems import Problems
from .review import Review
from .runs import Runs
from .secret_link import LinkFile
from .sheet import Sheet
from .start import Start
from .steps import DraftCalls
from .workers import Workers


def make_app(desk: Desk) -> Starlette:
    """The app with the routes of all screens; a colleague can reach only the review that the link is for."""
    screen_types = (
        Start,
        Drop,
        DraftCalls,
        Sheet,
        Columns,
        Preview,
        Problems,
        Price,
        Buy,
        Runs,
        Review,
        Offers,
        AfterRun,
        Colleagues,
    )
    screens = [screen_type(desk) for screen_type in screen_types]
    routes = [*(route for screen in screens for route in screen.routes), *pages.ROUTES]
    return Starlette(routes=routes, exception_handlers={404: pages.not_found}, middleware=[Middleware(OnlyReview)])


def serve(
    environ: Mapping[str, str], on_ready: Callable[[str], None], *, port: int = 0, new_link: bool = False
) -> None:
    """Serve until Ctrl-C (InterruptedRunError). ``on_ready`` is called with the address; if a server of this person runs
    already, with the address of that one, and nothing is served. ``port`` 0 is the port of last time, or any.
    """
    folder = Register.from_environ(environ).folder / "ui"
    links = LinkFile(folder)
    link = links.get(renew=new_link)
    lock = FileLock(folder / "server.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        on_ready(f"http://127.0.0.1:{link.port}/{link.token}/")
        return
    with lock:
        os.environ["PYTHONSAFEPATH"] = (
            "1"  # inherited by the worker processes: no module is imported from the present folder
        )
        own_environ = dict(environ)
        workers = Workers(own_environ)
        guests = GuestFile(folder)
        drafts = Drafts(environ)
        drafts.sweep()
        app = make_app(Desk(own_environ, drafts, workers, Path.cwd(), guests))
        make_server = partial(
            LocalServer, app, on_ready, policy=pages.POLICY, token=links.read_token, guest=guests.find
        )
        server = _listen_at(make_server, port or link.port, is_chosen=bool(port))
        links.save(replace(link, port=server.port))
        try:
            server.run_until_done()
        finally:
            workers.stop_all()


def _listen_at(make_server: Callable[..., LocalServer], port: int, *, is_chosen: bool) -> LocalServer:
    """Listen on the port of last time, so that tabs and bookmarks stay valid; on another one if it is taken."""
    try:
        return make_server(port=port)
    except UsageError:
        if is_chosen:
            raise
        return make_server()
