"""Checks of settings against each other. If one fails, the process does not start."""

import math

from healthingest_contract.environment import BROKER_URL, DATABASE_URL, IDENTITY_SIGNING_KEYS
from healthingest_service.adapters.s3.multipart import UNDO_SECONDS
from healthingest_service.settings import InvalidSettingsError, Settings
from healthingest_service.uploads.upload_lease import RENEW_AFTER_SHARE


def check_required_secrets(settings: Settings, command: str) -> None:
    """
    Check that `secrets_dir`, if it is set, has every secret that *command* needs.

    Without a secret an embedded adapter would be used, whose data would be lost with the pod.

    Raises:
        InvalidSettingsError: a secret is missing.
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


def check_lease_durations(settings: Settings) -> None:
    """
    Check that leases and claims are longer than the longest work of their holder.

    Otherwise another process could take over work in progress.

    Raises:
        InvalidSettingsError: a lease or a claim is too short.
    """
    # One PUT or completion, two HEADs, the abort, and the commit must fit into the lease, of which
    # RENEW_AFTER_SHARE may have passed.
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
    if too_short:
        raise InvalidSettingsError("; ".join(too_short))
