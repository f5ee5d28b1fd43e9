"""Admits to the local server only a browser on this machine that was given the address with the token.

A web page from elsewhere can make a browser send requests to 127.0.0.1. It can't know the token, its name is in ``Origin``
and ``Sec-Fetch-Site``, and if its name was made to point here (DNS rebinding) its name is in ``Host``.
"""

from __future__ import annotations

from collections.abc import Callable
from hmac import compare_digest

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SAFE_METHODS = frozenset({"GET", "HEAD"})


class Guard:
    """ASGI middleware: removes the token from the path, or answers 403."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: Callable[[], str],
        port: int,
        policy: str,
        guest: Callable[[str], object | None] = lambda _: None,
    ) -> None:
        """``token`` is called at each request: a token that was revoked or has expired is refused from then on; "" admits
        no request. ``guest`` looks up the tokens of others; what it returns is in ``scope["guest"]``.
        """
        self._app = app
        self._token, self._guest = token, guest
        self._hosts = frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})
        self._headers = [
            (b"content-security-policy", f"{policy}; frame-ancestors 'none'".encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-resource-policy", b"same-origin"),
            (b"cross-origin-opener-policy", b"same-origin"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or call the app with the path after the token."""
        token, _, rest = scope["path"].removeprefix("/").partition("/")
        is_owner = scope["type"] == "http" and self._is_owner_token(token)
        guest = None if is_owner else self._guest(token)
        if not (is_owner or guest is not None) or not self._admits(scope):
            refusal = PlainTextResponse("Open the address that the terminal shows.\n", status_code=403)
            await refusal(scope, receive, send)
            return
        inner = {**scope, "guest": guest, "path": f"/{rest}", "raw_path": None, "root_path": f"/{token}"}
        await self._app({**inner, "root_path": ""}, receive, self._with_headers(send))

    def _is_owner_token(self, token: str) -> bool:
        expected = self._token()
        return bool(expected) and compare_digest(token.encode(errors="replace"), expected.encode())

    def _admits(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if host not in self._hosts:
            return False
        if headers.get("sec-fetch-site", "none") not in {"same-origin", "none"} and not _opens_page(scope, headers):
            return False
        if origin is None:
            return scope["method"] in SAFE_METHODS
        return origin == f"http://{host}"

    def _with_headers(self, send: Send) -> Send:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *self._headers]}
            await send(message)

        return send_with_headers


def _opens_page(scope: Scope, headers: Headers) -> bool:
    """Whether this is a followed link to the page, from a terminal or from the file that opens the browser."""
    page = scope["method"] == "GET" and scope["path"].count("/") == 2 and scope["path"].endswith("/")
    return page and headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
