"""The operator's rights are those that the run needed: none was missing, none is unused."""

from pathlib import Path

import pytest

import audit
import install
import kubectl as k8s

SECONDS = 30.0
ROUTES = "httproutes.gateway.networking.k8s.io"
ROUTE_RIGHT = ("gateway.networking.k8s.io", "httproutes")
CHAPTERS = {path.name for path in Path(__file__).parent.glob("test_*.py")}


@pytest.fixture(name="log")
def _log(audit_log: audit.AuditLog | None) -> audit.AuditLog:
    if audit_log is None:
        pytest.skip("AUDIT_LOG names no audit log of the API server")
    return audit_log


def test_1_a_lost_lease_is_made_again() -> None:
    """It is created as at the first start, and the leader stays the same."""

    def holder() -> str | None:
        found = k8s.get("lease", install.RELEASE, install.OPERATOR)
        return (found or {}).get("spec", {}).get("holderIdentity") or None

    before = k8s.eventually("a leader", holder, seconds=SECONDS)
    k8s.kubectl("delete", "lease", install.RELEASE, "--namespace", install.OPERATOR)
    assert k8s.eventually("a leader", holder, seconds=SECONDS) == before


def test_2_nothing_was_refused(log: audit.AuditLog) -> None:
    """No request of the operator was refused for a missing right."""
    assert audit.used(log.entries())
    assert audit.forbidden(log.entries()) == set()


def test_3_no_right_is_left_over(log: audit.AuditLog, request: pytest.FixtureRequest) -> None:
    """
    Each verb on each resource that the chart grants was used in this run.

    Routes are left out on a cluster without the Gateway API.
    """
    missing = CHAPTERS - {item.path.name for item in request.session.items}
    if missing:
        pytest.skip(f"not in this run: {', '.join(sorted(missing))}")
    unused = audit.granted() - audit.used(log.entries())
    if not k8s.kubectl("get", "crd", ROUTES, "--ignore-not-found").strip():
        unused = {right for right in unused if right[:2] != ROUTE_RIGHT}
    assert unused == set()
