"""
Settings that are right one by one, and wrong together or in this place.

A process does not start with them.
"""

import math
import os

from healthingest_contract.environment import BROKER_URL, DATABASE_URL, IDENTITY_SIGNING_KEYS
from healthingest_service.adapters.s3_multipart import UNDO_SECONDS
from healthingest_service.faults.points import VARIABLE
from healthingest_service.settings import InvalidSettingsError, Settings
from healthingest_service.uploads.upload_lease import RENEW_AFTER_SHARE


def refuse_stand_ins(settings: Settings, command: str) -> None:
    """
    In an installation no embedded part may stand in for a missing secret.

    What it keeps would die with the pod.

    Raises:
        InvalidSettingsError: one is missing.
    """
    needed: dict[str, object] = {DATABASE_URL: settings.database.url}
    if command in {"api", "serve"}:
        needed[IDENTITY_SIGNING_KEYS] = settings.identity.signing_keys
    if command in {"relay", "serve"}:
        needed[BROKER_URL] = settings.broker.url
    missing = sorted(name for name, value in needed.items() if value is None)
    if settings.secrets_dir is not None and command != "events" and missing:
        message = f"missing: {', '.join(missing)}"
        raise InvalidSettingsError(message)


def refuse_short_leases(settings: Settings) -> None:
    """
    A lease outlives whatever its holder may still do: else living uploads are taken for dead ones.

    A run of faults wants just that, and is let off.

    Raises:
        InvalidSettingsError: a lease or a claim is too short.
    """
    # A lease that may be a tenth used; PUT or completion, undoing, two HEADs, commit.
    storing_seconds = (
        3 * settings.store.timeout_seconds + UNDO_SECONDS + settings.database.timeout_seconds
    )
    lease_seconds = math.ceil(storing_seconds / (1 - RENEW_AFTER_SHARE))
    announcing_seconds = settings.broker.timeout_seconds + settings.database.timeout_seconds
    too_short = [
        f"{name} must be over {least:g}"
        for name, value, least in (
            (
                "HEALTHINGEST_LIMITS__UPLOAD_LEASE_SECONDS",
                settings.limits.upload_lease_seconds,
                lease_seconds,
            ),
            ("HEALTHINGEST_RELAY__CLAIM_SECONDS", settings.relay.claim_seconds, announcing_seconds),
        )
        if value <= least
    ]
    if too_short and VARIABLE not in os.environ:
        raise InvalidSettingsError("; ".join(too_short))
