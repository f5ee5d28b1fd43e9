"""The pictures: their size, what they say of themselves, and that no two are alike."""

import base64
import hashlib
import io
import random

import httpx
import pytest
from PIL import Image

from batchedit.sandbox.cheap_png import draw_cheap_png
from batchedit.sandbox.copywriting import write_copy
from batchedit.sandbox.job_clock import Order
from batchedit.sandbox.pictures import compose
from batchedit.sandbox.products import DRAWINGS
from batchedit.sandbox.samples import choose_product, draw_sample_shot


def order(prompt="make an ad for this mug: a cosy morning", size="1:1", image="https://x.example/mug.png", ordinal=1):
    digest = hashlib.sha256(f"{prompt}{size}{image}".encode()).hexdigest()
    return Order(f"id-{ordinal}", ordinal, "m", prompt, size, (image,), digest, 1.0, None, {})


def opened(data):
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


def cheap(made, number, _):
    return draw_cheap_png(made, number, 20_000)


@pytest.mark.parametrize("draw", [compose, cheap], ids=["composed", "plain"])
@pytest.mark.parametrize(("size", "pixels"), [("1:1", (1024, 1024)), ("3:2", (1536, 1024)), ("2:3", (1024, 1536))])
def test_size_and_identity(draw, size, pixels):
    prompt = "make an ad for Café 広告"
    picture = opened(draw(order(prompt, size), 0, None))
    assert (picture.format, picture.size) == ("PNG", pixels)
    facts = {name: picture.text[name] for name in ("prompt", "size", "image", "request_id")}
    assert facts == {"prompt": prompt, "size": size, "image": "https://x.example/mug.png", "request_id": "id-1"}


@pytest.mark.parametrize("draw", [compose, cheap], ids=["composed", "plain"])
def test_no_two_jobs_look_the_same(draw):
    made = [draw(order(ordinal=n), 0, None) for n in range(4)] + [draw(order(ordinal=1), 1, None)]
    assert len({opened(data).convert("RGB").resize((64, 64)).tobytes() for data in made}) == 5


def test_the_same_job_is_drawn_the_same():
    assert compose(order(), 0, None) == compose(order(), 0, None)


def test_plain_files_have_about_the_size_asked_for():
    assert len(draw_cheap_png(order(), 0, 200_000)) == pytest.approx(200_000, rel=0.02)


@pytest.mark.parametrize("prompt", ["", "広告", "😀", "x" * 3000, "word " * 500, "add a tag line", "\u0000\n\t", ":::"])
def test_prompts_that_are_hard_to_set(prompt):
    assert opened(compose(order(prompt, "2:3"), 0, None)).size == (1024, 1536)


@pytest.mark.parametrize(
    "upload", [b"", b"no picture", draw_sample_shot("lamp", "png"), draw_sample_shot("lamp", "jpg")]
)
def test_an_upload_is_shown_or_replaced(upload):
    assert opened(compose(order(), 0, upload)).size == (1024, 1024)


def test_the_words_are_the_prompts():
    prompt = "make an ad for this chainsaw, of a grandma carving turkey at dinner. add a tag line"
    words = write_copy(prompt, "chainsaw", random.Random(0))
    assert (words.headline, words.tagline) == ("Chainsaw", "A grandma carving turkey at dinner.")


def test_names_and_prompts_choose_the_product():
    assert choose_product("red-sneakers-42") == "sneaker"
    assert choose_product("img_0017", "an ad for our Yellow Sofa") == "armchair"
    assert choose_product("qqq") == choose_product("qqq")
    assert choose_product("qqq") in DRAWINGS


@pytest.mark.parametrize("kind", sorted(DRAWINGS))
def test_each_product_can_be_drawn(kind):
    assert opened(draw_sample_shot(kind, "png")).size == (800, 800)


def test_samples_are_served_with_head(sandbox_with):
    client = sandbox_with()
    for name, media in (("chainsaw.png", "image/png"), ("anything-at-all.jpg", "image/jpeg")):
        head, got = client.plain.head(f"/samples/{name}"), client.plain.get(f"/samples/{name}")
        assert (head.status_code, head.content, head.headers["content-type"]) == (200, b"", media)
        assert head.headers["content-length"] == str(len(got.content))
        opened(got.content)
    assert client.plain.get("/samples/chainsaw.exe").status_code == 404
    ledger = client.sandbox.ledger()
    assert (ledger["sample_heads"], ledger["sample_gets"]) == (2, 3)


def test_a_data_uri_ends_up_in_the_picture(sandbox_with):
    client = sandbox_with()
    blob = io.BytesIO()
    Image.new("RGB", (400, 400), (255, 0, 255)).save(blob, "PNG")
    request_id = client.accepted(image="data:image/png;base64," + base64.b64encode(blob.getvalue()).decode())
    picture = opened(httpx.get(client.link(request_id), verify=False, trust_env=False).content).convert("RGB")
    magenta = sum(count for count, colour in picture.getcolors(2**24) if colour == (255, 0, 255))
    assert magenta > 50_000
