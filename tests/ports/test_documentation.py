"""`/docs` in a real browser, which applies the page's policy."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support.service_process import service

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
@pytest.mark.timeout(180)
def test_the_page_shows_every_route_and_asks_nobody_else(tmp_path: Path) -> None:
    """
    Rendered under its policy, it lists all operations.

    Nothing was blocked, and every request went to the service.
    """
    log = tmp_path / "network.json"
    with service(tmp_path / "service") as running:
        words = [
            str(CHROMIUM),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-first-run",
            "--enable-logging=stderr",
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--log-net-log={log}",
            "--virtual-time-budget=20000",
            "--dump-dom",
            f"{running.address()}/docs",
        ]
        inherited = os.environ | {"HOME": str(tmp_path)}
        done = subprocess.run(
            words, capture_output=True, text=True, check=False, timeout=120, env=inherited
        )
        address = running.address()
    for path in ("/v1/upload", "/v1/uploads/{upload_id}", "/auth/jwt/login"):
        assert f'data-path="{path}"' in done.stdout, done.stdout[:2000] + done.stderr[-2000:]
    assert "Content Security Policy" not in done.stderr, done.stderr
    assert _asked(log) == {address}


def _asked(log: Path) -> set[str]:
    """Return the origins of the page's requests."""
    text = log.read_text(encoding="utf-8")
    events = json.loads(text)
    kind = events["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    asked = [
        e["params"] for e in events["events"] if e["type"] == kind and "url" in e.get("params", {})
    ]
    return {
        "/".join(one["url"].split("/")[:3])
        for one in asked
        if one.get("initiator", "not an origin") != "not an origin"
    }
