"""The demo at the root of the service: its page, its gate, and the service's routes before it."""

from __future__ import annotations

import httpx
import pytest

from emofuse.serve.app import create_app
from emofuse.serve.page import mount_page
from emofuse.serve.server import serving
from emofuse.serve.settings import Settings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # Gradio leaves event loops open
]


def test_the_page_is_at_the_root_and_the_routes_are_where_they_were(pipeline):
    app = create_app(pipeline, Settings())
    mount_page(app, "127.0.0.1")
    with serving(app) as url, httpx.Client(base_url=url, timeout=120) as client:
        page = client.get("/")
        assert page.status_code == 200 and "<html" in page.text
        assert "default-src 'self'" in page.headers["content-security-policy"]
        assert client.get("/config").status_code == 200
        assert client.get("/healthz").json() == {"status": "ok"}
        reply = client.post("/v1/analyze", json={"text": "i am so happy!"})
        assert reply.status_code == 200 and reply.json()["model"] == "tiny"
        assert client.get("/gradio_api/file=/etc/passwd").status_code in (403, 404)
        assert client.get("/", headers={"Host": "elsewhere.example"}).status_code == 421
        assert client.get("/v1/nothing").status_code == 404
        folder = app.state.service.workspace.folder
        assert folder.is_dir()
    assert not folder.exists()
