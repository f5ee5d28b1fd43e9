"""The summary of a run to a web hook: what Slack's incoming hooks take, and everything else in one more field."""

from __future__ import annotations

from collections.abc import Callable
from time import sleep
from typing import Any
from urllib.parse import urlsplit

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, stop_after_delay, wait_random_exponential

from ..core.errors import UsageError

ATTEMPTS, TOTAL_SECONDS = 4, 30.0
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class _PassingError(Exception):
    """Something that the next attempt may mend."""


def check_hook(url: str) -> str:
    """``url`` if a summary may go there: https, or http on this machine. UsageError (64) else."""
    parts = urlsplit(url)
    plain_but_here = parts.scheme == "http" and parts.hostname in _LOOPBACK
    if not parts.hostname or not (parts.scheme == "https" or plain_but_here):
        raise UsageError(
            "--notify takes an https:// address", hint="such as the incoming web hook that Slack gives to a channel"
        )
    return url


def summary(name: str, report: dict[str, Any], text: str) -> dict[str, Any]:
    """What is posted: ``text`` for people, ``run`` and ``report`` (the content of ``report.json``) for programs."""
    return {"text": text, "run": name, "report": report}


def notify(
    url: str,
    content: dict[str, Any],
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
    host = urlsplit(check_hook(url)).hostname
    try:
        with httpx.Client(transport=transport, timeout=10.0, trust_env=transport is None) as client:
            return retrying(_post, client, url, content)
    except _PassingError as error:
        return f"{host} was not reached: {error}"


def _post(client: httpx.Client, url: str, content: dict[str, Any]) -> str:
    try:
        status = client.post(url, json=content).status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _PassingError(type(error).__name__) from None
    if status == 429 or status >= 500:
        raise _PassingError(f"it answered HTTP {status}")
    return "" if status < 300 else f"{urlsplit(url).hostname} refused the summary: HTTP {status}"
