"""The ConfigMap with the service's settings, apart from secrets."""

import json
from dataclasses import dataclass
from typing import Final

from healthingest_contract import environment as env
from healthingest_operator.api.healthingest import HealthIngest
from healthingest_operator.api.manifest import Manifest
from healthingest_operator.api.v1alpha1 import HealthIngestSpec, MailSpec, OidcIssuerSpec
from healthingest_operator.resources import tls
from healthingest_operator.resources.names import config_map, metadata
from healthingest_operator.resources.spool import upload_bytes

API_PORT: Final = 8000
METRICS_PORT: Final = 9000
JANITOR_METRICS_PORT: Final = 9001
SECRETS_FOLDER: Final = "/var/run/secrets/healthingest.dev"
SPOOL_FOLDER: Final = "/var/spool/healthingest"
SCHEMAS_FOLDER: Final = "/etc/healthingest/schemas"

PRE_STOP_SECONDS: Final = 10
"""
Seconds that a stopping pod still serves, until proxies no longer send requests to it.

On a busy node 5 seconds were too few. The rest of the grace period is for requests in progress.
"""
_CLOSING_SECONDS: Final = 10
"""Seconds at the end of the grace period to close connections to database and object store."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Values of settings that do not come from the spec; `broker_endpoint` is host:port."""

    broker_endpoint: str
    url: str
    encryption_supported: bool = True


def configuration(spec: HealthIngestSpec, around: Surroundings) -> dict[str, str]:
    """
    Return `spec.settings` and every variable that the operator sets.

    A variable is empty if the spec has no value for it.
    """
    store = spec.object_store
    encryption = store.encryption.mode if around.encryption_supported else "None"
    return dict(spec.settings) | {
        env.SECRETS_DIR: SECRETS_FOLDER,
        env.SERVER_PORT: str(API_PORT),
        env.SERVER_METRICS_PORT: str(METRICS_PORT),
        env.SERVER_TRUSTED_PROXIES: ",".join(spec.trusted_proxies),
        env.SERVER_GRACEFUL_SHUTDOWN_SECONDS: str(
            spec.termination_grace_period_seconds - PRE_STOP_SECONDS - _CLOSING_SECONDS
        ),
        env.SPOOL_FOLDER: SPOOL_FOLDER,
        env.SPOOL_MAX_BYTES: str(upload_bytes(spec)),
        env.HTTP_OPENAPI: str(spec.documentation.serves_openapi).lower(),
        env.HTTP_DOCS: str(spec.documentation.page).lower(),
        env.STORE_ENDPOINT: store.endpoint or "",
        env.STORE_REGION: store.region,
        env.STORE_BUCKET: store.bucket,
        env.STORE_ENCRYPTION: encryption,
        env.STORE_KMS_KEY_ID: store.encryption.key_id or "",
        env.STORE_OBJECT_LOCK_MODE: store.object_lock.mode if store.object_lock else "None",
        env.STORE_OBJECT_LOCK_DAYS: str(store.object_lock.days) if store.object_lock else "0",
        **dict.fromkeys(tls.VARIABLES, ""),  # a pod that mounts the files sets them itself
        env.BROKER_EXCHANGE: spec.broker.exchange,
        env.BROKER_ENDPOINT: around.broker_endpoint,
        env.IDENTITY_REGISTRATION: spec.accounts.registration,
        env.IDENTITY_ISSUER: around.url,
        env.OIDC_ISSUERS: _issuers(spec),
        **_mail(spec.accounts.mail),
        env.LIMITS_MAX_FILE_SIZE_BYTES: str(spec.limits.max_file_size_bytes),
        env.LIMITS_UPLOADS: spec.limits.uploads,
        env.LIMITS_REQUESTS: spec.limits.requests,
        env.TRACING_ENDPOINT: spec.tracing.endpoint if spec.tracing else "",
        env.TRACING_SAMPLE_RATIO: str(spec.tracing.sample_percent / 100) if spec.tracing else "",
        env.SCHEMAS_MODE: spec.schemas.mode,
        env.SCHEMAS_FOLDER: SCHEMAS_FOLDER if spec.schemas.config_map_ref else "",
    }


def _issuers(spec: HealthIngestSpec) -> str:
    """Return the identity providers in JSON; empty: there are none."""
    oidc = spec.accounts.oidc
    if oidc is None:
        return ""
    found = [_issuer(issuer) for issuer in oidc.issuers]
    return json.dumps(found, ensure_ascii=False, separators=(",", ":"))


def _issuer(issuer: OidcIssuerSpec) -> dict[str, object]:
    found: dict[str, object] = {
        "url": issuer.url,
        "audience": issuer.audience,
        "groups_claim": issuer.groups_claim,
        "required_groups": list(issuer.required_groups),
    }
    if issuer.required_scopes:
        found["required_scopes"] = list(issuer.required_scopes)
    if issuer.group_roles:
        found["group_roles"] = [
            {"group": one.group, "study": one.study, "roles": list(one.roles)}
            for one in issuer.group_roles
        ]
    sign_in = issuer.sign_in
    if sign_in is not None:
        found |= {
            "name": sign_in.display_name,
            "client_id": sign_in.client_id,
            "redirect_uris": list(sign_in.redirect_uris),
            "scopes": list(dict.fromkeys(("openid", *sign_in.scopes))),
        }
    return found


def _mail(mail: MailSpec | None) -> dict[str, str]:
    return {
        env.MAIL_SMTP_HOST: mail.host if mail else "",
        env.MAIL_SMTP_PORT: str(mail.port) if mail else "",
        env.MAIL_SMTP_TLS: mail.encryption if mail else "",
        env.MAIL_FROM_ADDRESS: mail.sender if mail else "",
        env.MAIL_PUBLIC_URL: mail.public_url if mail else "",
    }


def config_map_object(owner: HealthIngest, values: dict[str, str]) -> Manifest:
    """Return the ConfigMap with *values*."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(owner, config_map(owner.key)),
        "data": values,
    }


def service_url(owner: HealthIngest) -> str:
    """Return the URL to which clients send uploads."""
    ingress = owner.spec.ingress
    if ingress is not None:
        return f"{'https' if ingress.tls_secret_name else 'http'}://{ingress.host}"
    route = owner.spec.http_route
    if route is not None and route.hostnames:
        return f"{route.scheme}://{route.hostnames[0]}"
    return f"http://{owner.key.name}.{owner.key.namespace}.svc"
