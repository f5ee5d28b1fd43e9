"""What is behind a link: each way to ask ends in an answer, whatever the link and its host say."""

from __future__ import annotations

import io

import httpx
import pytest

from batchedit.images.link_probe import BAD, FINE, Answer, LinkProbe

NO_ADDRESS = "https://[::1"


def redirect(request: httpx.Request) -> httpx.Response:
    return httpx.Response(302, headers={"location": NO_ADDRESS})


@pytest.mark.anyio
async def test_a_link_to_no_address_ended_the_fetching_with_a_traceback() -> None:
    """``fetch`` raised InvalidURL, where ``ask`` and ``save`` had an answer."""
    async with LinkProbe(tries=1, transport=httpx.MockTransport(redirect)) as probe:
        expected = Answer(BAD, "is no link that can be asked for")
        assert await probe.ask(NO_ADDRESS) == expected
        assert await probe.save(NO_ADDRESS, io.BytesIO(), 1000, "image/*") == expected
        assert await probe.fetch(NO_ADDRESS) == expected


@pytest.mark.anyio
async def test_a_link_that_leads_to_no_address_has_an_answer() -> None:
    async with LinkProbe(tries=1, transport=httpx.MockTransport(redirect)) as probe:
        link = "https://host.example/a.png"
        for answer in (await probe.ask(link), await probe.save(link, io.BytesIO(), 9, "*/*"), await probe.fetch(link)):
            assert isinstance(answer, Answer)
            assert answer.verdict != FINE
