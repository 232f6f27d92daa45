import signal
import time
from pathlib import Path

import httpx

from support.service_process import SECONDS, service


def test_who_is_asked_to_leave_says_so_first(tmp_path: Path) -> None:
    """
    After SIGTERM readiness is off and requests are taken, for as long as was set.

    Then the end is a gentle one.
    """
    with service(tmp_path, SERVER__SHUTDOWN_DELAY_SECONDS="3") as running:
        running.wait_until_ready()
        server = running.address()
        deadline = time.monotonic() + SECONDS
        running.process.send_signal(signal.SIGTERM)
        while httpx.get(f"{server}/health/ready").status_code != httpx.codes.SERVICE_UNAVAILABLE:
            assert time.monotonic() < deadline
        account = {"email": "ada@clinic.example", "password": "correct horse battery"}
        assert (
            httpx.post(f"{server}/auth/register", json=account).status_code == httpx.codes.CREATED
        )
        assert running.process.wait(SECONDS) == 0
