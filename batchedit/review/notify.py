"""What becomes of a run, to a web hook: what Slack's incoming hooks take, and everything else in one more field.

Other channels (e-mail, Teams, Telegram, …) go through Apprise, the extra ``notify``: ``mailto://…``, ``tgram://…``. Those
that take pictures get the first few: a web hook takes text alone.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from html import escape
from importlib.util import find_spec
from time import sleep
from typing import Any
from urllib.parse import urlsplit

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, stop_after_delay, wait_random_exponential

from ..core.errors import UsageError
from ..core.hosts import is_loopback
from ..settings.extras import to_install

ATTEMPTS, TOTAL_SECONDS = 4, 30.0
SLACK_HOOKS = "hooks.slack.com"
_CARDS = frozenset({"workflow", "workflows"})
"""Channels whose messages are cards of Teams: Markdown, also in the title, and one line end is a blank there."""
_MARKS = re.compile(r"[\\`*_\[\]]")
Picture = tuple[str, str, bytes]
"""A picture that goes along: its name, its media type and itself."""
Pictures = Callable[[], Sequence[Picture]]
"""Makes them once they are wanted, in the thread that sends."""


def no_pictures() -> Sequence[Picture]:
    """A message of words alone."""
    return ()


class _PassingError(Exception):
    """Something that the next attempt may mend."""


def check_hook(url: str) -> str:
    """``url`` if a summary may go there: https, http on this machine, or a channel of Apprise's. UsageError (64) else."""
    parts = urlsplit(url)
    if parts.scheme not in {"", "http", "https"}:
        _channel(url)
        return url
    plain_but_here = parts.scheme == "http" and is_loopback(parts.hostname or "")
    if not parts.hostname or not (parts.scheme == "https" or plain_but_here):
        raise UsageError(
            "--notify takes an https:// address, or one of Apprise's such as mailto:// or tgram://",
            hint="such as the incoming web hook that Slack gives to a channel",
        )
    return url


def summary(name: str, report: dict[str, Any] | None, text: str, event: str = "finished") -> dict[str, Any]:
    """What is posted: ``text`` for people, and for programs ``run``, ``event`` (started, canary_waiting, stopped, finished)
    and ``report``, the content of ``report.json`` once there is one.
    """
    return {"text": text, "run": name, "event": event, "report": report}


def _is_news(_url: str, _content: dict[str, Any]) -> bool:
    return True


class Notices:
    """Messages to each address of ``urls``, one after the other: no purchase waits for a network.

    Each address has a thread of its own, so one that does not answer holds up no other. ``failed`` is told once, at the
    end, why a message did not arrive. Without an address nothing is sent.
    """

    def __init__(self, urls: Sequence[str], failed: Callable[[str], None]) -> None:
        self._failed = failed
        self.is_news: Callable[[str, dict[str, Any]], bool] = _is_news
        """Asked about each message to an address, in the thread that sends: others may send it too."""
        self._threads = {url: ThreadPoolExecutor(1) for url in urls}
        self._sent: list[tuple[str, Future[str]]] = []

    def send(self, content: dict[str, Any], pictures: Pictures = no_pictures) -> None:
        """Put it in line for each address. ``pictures`` go along where the channel takes any."""
        self._sent += [
            (url, thread.submit(self._send, url, content, pictures)) for url, thread in self._threads.items()
        ]

    def _send(self, url: str, content: dict[str, Any], pictures: Pictures) -> str:
        return notify(url, content, pictures) if self.is_news(url, content) else ""

    def close(self) -> None:
        """Wait until all are sent, for half a minute each at most."""
        for thread in self._threads.values():
            thread.shutdown()
        for why in dict.fromkeys(self._told(url, why) for url, sent in self._sent if (why := sent.result())):
            self._failed(why)

    def _told(self, url: str, why: str) -> str:
        """``why``, and of which address where there are several: by its place, for it is a secret."""
        if len(self._threads) == 1:
            return why
        return f"--notify, address {list(self._threads).index(url) + 1} of {len(self._threads)}: {why}"


def notify(
    url: str,
    content: dict[str, Any],
    pictures: Pictures = no_pictures,
    *,
    transport: httpx.BaseTransport | None = None,
    pause: Callable[[float], None] = sleep,
) -> str:
    """POST ``content`` as JSON; ``""`` if it arrived, else why not, in words. Never raises for what a network does.

    A client of its own: no token, no cookies, no redirects. The address is a secret and stands in no message.
    """
    retrying = Retrying(
        stop=stop_after_attempt(ATTEMPTS) | stop_after_delay(TOTAL_SECONDS),
        wait=wait_random_exponential(multiplier=0.5, max=8.0),
        retry=retry_if_exception_type(_PassingError),
        sleep=pause,
        reraise=True,
    )
    parts = urlsplit(check_hook(url))
    if parts.scheme not in {"http", "https"}:
        return _by_apprise(url, content, pictures)
    host = parts.hostname
    if host == SLACK_HOOKS:  # it takes a name's stars for bold, and what stands in angle brackets for a link
        content = {**content, "text": escape(content["text"], quote=False), "mrkdwn": False}
    try:
        with httpx.Client(transport=transport, timeout=10.0, trust_env=transport is None) as client:
            return retrying(_post, client, url, content)
    except _PassingError as error:
        return f"{host} was not reached: {error}"
    except (ValueError, ImportError):  # what httpx makes of ALL_PROXY=socks5://… or of a blank
        return f"{host} was not reached: a proxy that the environment names can't be used"


def _post(client: httpx.Client, url: str, content: dict[str, Any]) -> str:
    try:
        status = client.post(url, json=content).status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _PassingError(type(error).__name__) from None
    if status == 429 or status >= 500:
        raise _PassingError(f"it answered HTTP {status}")
    return "" if status < 300 else f"{urlsplit(url).hostname} refused the message: HTTP {status}"


def _channel(url: str) -> Any:
    """What Apprise makes of ``url``. UsageError (64) without the extra, or where it knows no such channel."""
    if find_spec("apprise") is None:
        raise UsageError("this address needs Apprise, where https:// needs nothing", hint=to_install("notify"))
    log = logging.getLogger("apprise")
    log.addHandler(logging.NullHandler())
    log.propagate = False  # it would say the address, which is a secret
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # before Python 3.13 it looks for imghdr
        import apprise  # noqa: PLC0415 - it is large, and an extra

        # Else each message carries its name and a picture from its own site.
        name = "batchedit"
        asset = apprise.AppriseAsset(app_id=name, app_desc=name, app_url="", image_url_mask="", image_url_logo="")
        channel = apprise.Apprise(asset=asset)
        known = channel.add(url)
    if not known:
        raise UsageError(
            "Apprise knows no channel for the address behind --notify", hint="its list of channels is on its pages"
        )
    return channel


def _by_apprise(url: str, content: dict[str, Any], pictures: Pictures) -> str:
    title, body = f"batchedit: {content.get('run', '')}", str(content.get("text", ""))
    channel, scheme = _channel(url), urlsplit(url).scheme
    if scheme in _CARDS:
        title, body = _MARKS.sub(r"\\\g<0>", title), body.replace("\n", "\n\n")
    told = {"title": title, "body": body, "body_format": "text"}  # else a mail takes it for HTML
    attached = _attached(pictures()) if any(server.attachment_support for server in channel) else None
    taken = _taken(channel)
    arrived = channel.notify(**told, attach=attached)
    if not arrived and taken:  # a second try would say the words twice
        return f"the channel {scheme}:// took it in part: without all its pictures, or not everywhere"
    if not arrived and attached:  # a mailbox may take no message of this size: the words matter more
        arrived = channel.notify(**told)
    return "" if arrived else f"the channel {scheme}:// did not take the message"


def _taken(channel: Any) -> list[object]:
    """Grows by what a target of ``channel`` takes: Apprise marks it, for tries of its own. An older one marks nothing."""
    taken: list[object] = []

    def mark(key: object, per_message: bool = False) -> None:
        if not per_message:  # else it is an icon
            taken.append(key)

    for server in channel:
        server.mark_delivered = mark
    return taken


def _attached(pictures: Sequence[Picture]) -> Any:
    """What Apprise takes along; None for nothing."""
    from apprise import AppriseAttachment  # noqa: PLC0415 - an extra
    from apprise.attachment.memory import AttachMemory  # noqa: PLC0415

    if not pictures:
        return None
    made: Any = AttachMemory
    return AppriseAttachment([made(content=data, name=name, mimetype=kind) for name, kind, data in pictures])
