"""The operator's endpoints on both IP families."""

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from healthingest_operator.runtime.endpoints import ListenPorts, endpoints
from support.servers.process import free_port, has_ipv6


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
async def test_both_ip_families_are_served(host: str) -> None:
    """The kubelet and Prometheus use the family of the pod's address."""
    if ":" in host and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    ports = ListenPorts(free_port(), free_port())
    urls = [f"http://{host}:{ports.health}/healthz", f"http://{host}:{ports.metrics}/metrics"]
    async with (
        endpoints(ports, CollectorRegistry(), lambda: None, lambda: True),
        aiohttp.ClientSession() as session,
    ):
        for url in urls:
            async with session.get(url) as answer:
                assert answer.status == 200
