"""Checks of settings against each other. If one fails, the process does not start."""

import math
from collections.abc import Mapping
from typing import Final

from healthingest_contract.environment import (
    BROKER_URL,
    DATABASE_URL,
    IDENTITY_ERASURE_KEY,
    IDENTITY_SIGNING_KEYS,
    MAIL_FROM_ADDRESS,
    MAIL_PUBLIC_URL,
    MAIL_SMTP_HOST,
    MAIL_SMTP_PASSWORD,
    MAIL_SMTP_TLS,
    MAIL_SMTP_USERNAME,
)
from healthingest_contract.pod_identity import ACCESS_KEY_ID, pod_identity
from healthingest_service.adapters.s3.multipart import UNDO_SECONDS
from healthingest_service.settings import InvalidSettingsError, Settings
from healthingest_service.uploads.upload_lease import RENEW_AFTER_SHARE

_USE_STORE: Final = frozenset({"api", "janitor", "serve"})


class StoreKeysMissingError(InvalidSettingsError):
    """A pod has neither keys for the object store nor an identity of its own."""


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
    if command in {"api", "janitor", "serve"}:
        needed[IDENTITY_ERASURE_KEY] = settings.identity.erasure_key
    if command in {"relay", "serve"}:
        needed[BROKER_URL] = settings.broker.url
    missing = sorted(name for name, value in needed.items() if value is None)
    if settings.secrets_dir is not None and command != "events" and missing:
        message = f"missing: {', '.join(missing)}"
        raise InvalidSettingsError(message)


def check_store_keys(settings: Settings, command: str, environment: Mapping[str, str]) -> None:
    """
    Check that *command* can get keys for the bucket if it runs in a pod (`secrets_dir` is set).

    Outside a pod botocore looks for further sources, such as files of the user.

    Raises:
        StoreKeysMissingError: there is no source of keys.
    """
    store = settings.store
    is_needed = settings.secrets_dir is not None and command in _USE_STORE
    has_keys = store.access_key_id is not None or environment.get(ACCESS_KEY_ID)
    if not is_needed or store.bucket is None or has_keys or pod_identity(environment) is not None:
        return
    message = (
        "no keys for the object store: set the access key, or give the ServiceAccount of the pod"
        " a role (variables AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE, or"
        " AWS_CONTAINER_CREDENTIALS_FULL_URI)"
    )
    raise StoreKeysMissingError(message)


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


def check_mail_settings(settings: Settings) -> None:
    """
    Check the settings of a mail server against each other.

    Raises:
        InvalidSettingsError: a setting is missing, or a password would be sent unencrypted.
    """
    mail = settings.mail
    if mail.smtp_host is None:
        return
    missing = [
        name
        for name, value in (
            (MAIL_FROM_ADDRESS, mail.from_address),
            (MAIL_PUBLIC_URL, mail.public_url),
        )
        if value is None
    ]
    if missing:
        message = f"missing, because {MAIL_SMTP_HOST} is set: {', '.join(missing)}"
        raise InvalidSettingsError(message)
    if (mail.smtp_username is None) != (mail.smtp_password is None):
        message = f"{MAIL_SMTP_USERNAME} and {MAIL_SMTP_PASSWORD} go together: set both or none"
        raise InvalidSettingsError(message)
    if mail.smtp_tls == "None" and mail.smtp_password is not None:
        message = f"{MAIL_SMTP_TLS}: None would send the password unencrypted: use STARTTLS"
        raise InvalidSettingsError(message)
