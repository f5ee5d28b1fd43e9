import httpx
import pytest

from batchedit.sandbox import SandboxConfig, serve

EDIT = "/v1/models/openai/gpt-4o-image/edit"
BODY = {"image": "https://shop.example/mug.png", "prompt": "make an ad for this mug: a cosy morning"}


class Client:
    """A sandbox and a plain httpx client with a token."""

    def __init__(self, sandbox):
        self.sandbox, self.url = sandbox, sandbox.url
        # Without certificates, which take longer to load than a test to run.
        quick = {"base_url": sandbox.url, "timeout": 5, "trust_env": False, "verify": False}
        self.http = httpx.Client(headers={"Authorization": "Bearer t"}, **quick)
        self.plain = httpx.Client(**quick)

    def submit(self, **fields):
        return self.http.post(EDIT, json={**BODY, **fields})

    def accepted(self, **fields):
        answer = self.submit(**fields)
        assert answer.status_code == 200, answer.text
        return answer.json()["request_id"]

    def result(self, request_id, **params):
        return self.http.get(f"/v1/requests/{request_id}/result", params=params).json()

    def status(self, request_id):
        return self.http.get(f"/v1/requests/{request_id}/status").json()

    def link(self, request_id):
        return self.result(request_id)["output"]["image"]


@pytest.fixture
def sandbox_with():
    """Start a sandbox with these options (jobs end at once unless told otherwise); it is closed after the test."""
    running = []

    def start(**options):
        context = serve(SandboxConfig(**{"latency": "0", **options}))
        client = Client(context.__enter__())
        running.append((context, client))
        return client

    yield start
    for context, client in running:
        assert client.sandbox.ledger()["bugs"] == []
        client.http.close()
        client.plain.close()
        context.__exit__(None, None, None)
