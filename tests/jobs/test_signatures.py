"""What in a link is only a signature, and what chooses the picture."""

import pytest

from batchedit.jobs.identity import job_key
from batchedit.jobs.signatures import strip_signature

S3 = "https://bucket.s3.amazonaws.com/p/0.jpg"


@pytest.mark.parametrize(
    ("link", "bare"),
    [
        (f"{S3}?X-Amz-Date=20260101&X-Amz-Expires=7200&X-Amz-Signature=AAA", S3),
        (f"{S3}?versionId=3&x-amz-date=1&x-amz-signature=A&x-amz-security-token=t#top", f"{S3}?versionId=3#top"),
        (f"{S3}?AWSAccessKeyId=A&Expires=17&Signature=b%2Fc%3D", S3),
        ("https://d1.cloudfront.net/a.png?w=800&Expires=1&Signature=s&Key-Pair-Id=K", "https://d1.cloudfront.net/a.png?w=800"),
        ("https://d1.cloudfront.net/a.png?Policy=p__&Signature=s&Key-Pair-Id=K", "https://d1.cloudfront.net/a.png"),
        ("https://storage.googleapis.com/b/a.png?X-Goog-Algorithm=G&X-Goog-Date=1&X-Goog-Signature=f",
         "https://storage.googleapis.com/b/a.png"),
        ("https://storage.googleapis.com/b/a.png?GoogleAccessId=x&Expires=1&Signature=f",
         "https://storage.googleapis.com/b/a.png"),
        ("https://x.blob.core.windows.net/c/a.png?sv=2024-11-04&st=a&se=b&sr=b&sp=r&sig=f%3D",
         "https://x.blob.core.windows.net/c/a.png"),
        ("https://dl.airtable.com/.attachments/a/b/mug.jpg?ts=1700000000&userId=usr1&cs=9f",
         "https://dl.airtable.com/.attachments/a/b/mug.jpg"),
        ("https://cdn.shopify.com/s/files/1/1/products/mug.jpg?v=1571711111&width=800",
         "https://cdn.shopify.com/s/files/1/1/products/mug.jpg?width=800"),
        ("https://mugs.example/cdn/shop/files/mug.jpg?v=17", "https://mugs.example/cdn/shop/files/mug.jpg"),
    ],
)  # fmt: skip
def test_a_signature_does_not_count(link: str, bare: str) -> None:
    assert strip_signature(link) == bare
    keys = [job_key("m", {"image": [url], "prompt": "p"}) for url in (link, bare)]
    assert keys[0] == keys[1]


@pytest.mark.parametrize(
    "link",
    [
        S3,
        f"{S3}?",
        f"{S3}?width=800&v=2",  # v is Shopify's alone
        f"{S3}?Expires=17",  # without a signature it may be anything
        f"{S3}?X-Amz-Date=20260101",
        "https://x.example/a.png?sig=1",
        "https://x.example/a.png?ts=17&cs=2",
        "https://x.oss.example/a.png?x-oss-process=image/resize,w_100",
        "https://airtable.com.evil.example/a?ts=1",
        "make an ad? see https://cdn.shopify.com/a.jpg?v=1",
        "data:image/png;base64,AAAA",
    ],
)
def test_whatever_may_choose_the_picture_counts(link: str) -> None:
    assert strip_signature(link) == link


def test_a_prompt_is_never_taken_apart() -> None:
    one, other = ({"prompt": f"https://cdn.shopify.com/a.jpg?v={n} on a table"} for n in (1, 2))
    assert job_key("m", one) != job_key("m", other)


def test_pictures_that_differ_in_more_than_the_signature_are_others() -> None:
    one, other = ({"image": [f"{S3}?versionId={n}&X-Amz-Signature=A"]} for n in (1, 2))
    assert job_key("m", one) != job_key("m", other)
