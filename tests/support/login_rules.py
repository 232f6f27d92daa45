"""
Rules of logins for tests.

Small numbers of free failures, and delays of minutes that no test waits for.
"""

from typing import Final

from healthingest_service.identity.throttling import Backoff, LoginRules

LOGIN_RULES: Final = LoginRules(
    device=Backoff(3, 100.0, 300.0),
    account=Backoff(6, 60.0, 60.0),
    address=Backoff(9, 60.0, 60.0),
    memory_seconds=3600,
    known_device_seconds=86_400,
)
