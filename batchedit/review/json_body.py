"""JSON requests and responses of a local server. A page from another origin can't send JSON without a preflight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

LARGEST_BODY = 65_536
"""Bytes."""


class BadRequestError(Exception):
    """What the page sent is invalid."""


async def read_json(request: Request) -> Any:
    """The request's body. BadRequestError for one that is no JSON, is not declared as JSON, or is too long."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise BadRequestError("what is sent here is JSON")
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > LARGEST_BODY:
            raise BadRequestError("that is too long")
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        raise BadRequestError("what is sent here is JSON") from None


def make_json_response(value: Mapping[str, Any], *, status: int = 200) -> Response:
    """``value`` as JSON that no browser caches."""
    headers = {"cache-control": "no-store"}
    return Response(orjson.dumps(value), status_code=status, media_type="application/json", headers=headers)
