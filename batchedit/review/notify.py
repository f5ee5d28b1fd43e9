"""Messages about a run to a web hook: the text that Slack's incoming hooks take, and all else in further fields.

Other channels (e-mail, Teams, Telegram, …) go through Apprise, the extra ``notify``: ``mailto://…``, ``tgram://…``. Those
that take pictures get the first few: a web hook takes only text.
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
_CARD_SCHEMES = frozenset({"workflow", "workflows"})
"""Channels whose messages are cards of Teams: Markdown, also in the title, and a single line end becomes a space."""
_MARKDOWN = re.compile(r"[\\`*_\[\]]")
Picture = tuple[str, str, bytes]
"""An attached picture: its name, its media type and its bytes."""
Pictures = Callable[[], Sequence[Picture]]
"""Makes the pictures on demand, in the thread that sends."""


def no_pictures() -> Sequence[Picture]:
    """For a message without pictures."""
    return ()


class _PassingError(Exception):
    """A failure that another attempt may not have."""


def check_hook(url: str) -> str:
    """``url`` if a summary may go there: https, http on this machine, or a channel of Apprise's. UsageError (64) else."""
    parts = urlsplit(url)
    if parts.scheme not in {"", "http", "https"}:
        _make_channel(url)
        return url
    is_local_http = parts.scheme == "http" and is_loopback(parts.hostname or "")
    if not parts.hostname or not (parts.scheme == "https" or is_local_http):
        raise UsageError(
            "--notify takes an https:// address, or one of Apprise's such as mailto:// or tgram://",
            hint="such as the incoming web hook that Slack gives to a channel",
        )
    return url


def build_notice(name: str, report: dict[str, Any] | None, text: str, event: str = "finished") -> dict[str, Any]:
    """The message: ``text`` for people, and for programs ``run``, ``event`` (started, canary_waiting, stopped, finished)
    and ``report``, the content of ``report.json`` once there is one.
    """
    return {"text": text, "run": name, "event": event, "report": report}


def _is_news(_url: str, _content: dict[str, Any]) -> bool:
    return True


class Notices:
    """Sends messages to each address of ``urls``, one after the other, so that no purchase waits for a network.

    Each address has a thread of its own, so one that does not answer delays no other. ``on_failure`` is called once, at the
    end, with the reason why a message did not arrive. Without an address nothing is sent.
    """

    def __init__(self, urls: Sequence[str], on_failure: Callable[[str], None]) -> None:
        self._on_failure = on_failure
        self.is_news: Callable[[str, dict[str, Any]], bool] = _is_news
        """Called for each message to an address, in the thread that sends: another process may send it too."""
        self._threads = {url: ThreadPoolExecutor(1) for url in urls}
        self._sent: list[tuple[str, Future[str]]] = []

    def send(self, content: dict[str, Any], pictures: Pictures = no_pictures) -> None:
        """Queue the message for each address. ``pictures`` are attached where the channel takes any."""
        self._sent += [
            (url, thread.submit(self._send, url, content, pictures)) for url, thread in self._threads.items()
        ]

    def _send(self, url: str, content: dict[str, Any], pictures: Pictures) -> str:
        return notify(url, content, pictures) if self.is_news(url, content) else ""

    def close(self) -> None:
        """Wait until all are sent, for half a minute each at most."""
        for thread in self._threads.values():
            thread.shutdown()
        for why in dict.fromkeys(
            self._name_address(url, why) for url, future in self._sent if (why := future.result())
        ):
            self._on_failure(why)

    def _name_address(self, url: str, why: str) -> str:
        """``why``, and which address it is where there are several: by its position, since an address is a secret."""
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
    """POST ``content`` as JSON; ``""`` if it arrived, else the reason, in words. Network errors are never raised.

    The client is separate: no token, no cookies, no redirects. The address is a secret and is in no message.
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
        return _notify_by_apprise(url, content, pictures)
    host = parts.hostname
    if host == SLACK_HOOKS:  # it reads asterisks as bold and angle brackets as a link
        content = {**content, "text": escape(content["text"], quote=False), "mrkdwn": False}
    try:
        with httpx.Client(transport=transport, timeout=10.0, trust_env=transport is None) as client:
            return retrying(_post, client, url, content)
    except _PassingError as error:
        return f"{host} was not reached: {error}"
    except (ValueError, ImportError):  # httpx raises these for ALL_PROXY=socks5://… or a space
        return f"{host} was not reached: a proxy that the environment names can't be used"


def _post(client: httpx.Client, url: str, content: dict[str, Any]) -> str:
    try:
        status = client.post(url, json=content).status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _PassingError(type(error).__name__) from None
    if status == 429 or status >= 500:
        raise _PassingError(f"it answered HTTP {status}")
    return "" if status < 300 else f"{urlsplit(url).hostname} refused the message: HTTP {status}"


def _make_channel(url: str) -> Any:
    """Apprise's channel for ``url``. UsageError (64) without the extra, or where it knows no such channel."""
    if find_spec("apprise") is None:
        raise UsageError("this address needs Apprise, where https:// needs nothing", hint=to_install("notify"))
    log = logging.getLogger("apprise")
    log.addHandler(logging.NullHandler())
    log.propagate = False  # it would log the address, which is a secret
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # before Python 3.13 it imports imghdr
        import apprise  # noqa: PLC0415 - it is large, and an extra

        # Otherwise each message has Apprise's name and a picture from its site.
        name = "batchedit"
        asset = apprise.AppriseAsset(app_id=name, app_desc=name, app_url="", image_url_mask="", image_url_logo="")
        channel = apprise.Apprise(asset=asset)
        is_known = channel.add(url)
    if not is_known:
        raise UsageError(
            "Apprise knows no channel for the address behind --notify", hint="its list of channels is on its pages"
        )
    return channel


def _notify_by_apprise(url: str, content: dict[str, Any], pictures: Pictures) -> str:
    title, body = f"batchedit: {content.get('run', '')}", str(content.get("text", ""))
    channel, scheme = _make_channel(url), urlsplit(url).scheme
    if scheme in _CARD_SCHEMES:
        title, body = _MARKDOWN.sub(r"\\\g<0>", title), body.replace("\n", "\n\n")
    message = {"title": title, "body": body, "body_format": "text"}  # otherwise an e-mail is read as HTML
    attachments = _make_attachments(pictures()) if any(server.attachment_support for server in channel) else None
    delivered = _track_delivered(channel)
    has_arrived = channel.notify(**message, attach=attachments)
    if not has_arrived and delivered:  # a second try would send the text twice
        return f"the channel {scheme}:// took it in part: without all its pictures, or not everywhere"
    if not has_arrived and attachments:  # a mailbox may refuse a message of this size: the text matters more
        has_arrived = channel.notify(**message)
    return "" if has_arrived else f"the channel {scheme}:// did not take the message"


def _track_delivered(channel: Any) -> list[object]:
    """A list that collects what targets of ``channel`` took, as Apprise reports it. An older Apprise reports nothing."""
    delivered: list[object] = []

    def record_delivered(key: object, per_message: bool = False) -> None:
        if not per_message:  # otherwise it is an icon
            delivered.append(key)

    for server in channel:
        server.mark_delivered = record_delivered
    return delivered


def _make_attachments(pictures: Sequence[Picture]) -> Any:
    """The pictures as Apprise takes them; None without any."""
    from apprise import AppriseAttachment  # noqa: PLC0415 - an extra
    from apprise.attachment.memory import AttachMemory  # noqa: PLC0415

    if not pictures:
        return None
    make_attachment: Any = AttachMemory
    return AppriseAttachment([make_attachment(content=data, name=name, mimetype=kind) for name, kind, data in pictures])
