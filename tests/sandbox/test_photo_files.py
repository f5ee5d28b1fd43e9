"""Pictures as heavy as photographs, told apart by the job that they are of."""

from __future__ import annotations

from io import BytesIO

import pytest
from PIL import Image

from batchedit.images.verify import examine
from batchedit.sandbox.config import PHOTOS, SandboxConfig
from batchedit.sandbox.heavy import draw_heavy_picture
from batchedit.sandbox.job_clock import Order


def order(number: int) -> Order:
    return Order(f"r{number}", number, "m", "a prompt", "1:1", (), "digest", 1.0, None, {})


@pytest.mark.parametrize(("kind", "least", "most"), [("png", 2_000_000, 3_000_000), ("jpeg", 250_000, 1_000_000)])
def test_each_job_has_a_whole_picture_of_its_own(kind: str, least: int, most: int) -> None:
    one, other = (draw_heavy_picture(order(number), 0, kind) for number in (1, 2))
    assert one != other
    assert least < len(one) < most
    seen = examine(one)
    assert (seen.width, seen.height) == (1024, 1536)
    with Image.open(BytesIO(one)) as picture:
        assert picture.format == kind.upper()


def test_another_kind_is_refused() -> None:
    assert PHOTOS == ("png", "jpeg")
    with pytest.raises(ValueError, match="photo_files"):
        SandboxConfig(photo_files="gif")
