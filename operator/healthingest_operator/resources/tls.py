"""The certificates of the connections to dependencies: their sources, and their files in pods."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from healthingest_contract import environment as env
from healthingest_operator.api.manifest import Manifest
from healthingest_operator.api.v1alpha1 import (
    CaBundleSource,
    ClientTlsSpec,
    HealthIngestSpec,
    TlsSpec,
)
from healthingest_operator.resources.security import secret_mode

TLS_FOLDER: Final = "/etc/healthingest/tls"
_CA_FILE: Final = "ca.crt"
CERTIFICATE_KEY: Final = "tls.crt"
PRIVATE_KEY: Final = "tls.key"
"""Keys of a Secret of type kubernetes.io/tls."""


class Dependency(StrEnum):
    """A dependency whose connections can use TLS."""

    STORE = "store"
    BROKER = "broker"
    DATABASE = "database"
    CACHE = "cache"
    OIDC = "oidc"
    MAIL = "mail"


_VARIABLES: Final[Mapping[Dependency, tuple[str, ...]]] = {
    Dependency.STORE: (env.STORE_CA_FILE,),
    Dependency.BROKER: (
        env.BROKER_CA_FILE,
        env.BROKER_CLIENT_CERTIFICATE_FILE,
        env.BROKER_CLIENT_KEY_FILE,
    ),
    Dependency.DATABASE: (
        env.DATABASE_CA_FILE,
        env.DATABASE_CLIENT_CERTIFICATE_FILE,
        env.DATABASE_CLIENT_KEY_FILE,
    ),
    Dependency.CACHE: (env.CACHE_CA_FILE,),
    Dependency.OIDC: (env.OIDC_CA_FILE,),
    Dependency.MAIL: (env.MAIL_CA_FILE,),
}
"""The variables for the paths of bundle, client certificate and key, in this order."""
VARIABLES: Final = tuple(name for names in _VARIABLES.values() for name in names)
"""All variables with paths of certificates."""
_NEEDED_FOR: Final = {
    env.STORE_ACCESS_KEY_ID: Dependency.STORE,
    env.BROKER_URL: Dependency.BROKER,
    env.DATABASE_URL: Dependency.DATABASE,
    env.CACHE_URL: Dependency.CACHE,
    env.IDENTITY_SIGNING_KEYS: Dependency.OIDC,  # only the API verifies tokens
    env.MAIL_SMTP_PASSWORD: Dependency.MAIL,
}


@dataclass(frozen=True, slots=True)
class TlsSources:
    """The sources of a dependency's bundle and client certificate; None: not in the spec."""

    ca_bundle: CaBundleSource | None
    client_secret: str | None = None


def dependencies_of(secrets: frozenset[str]) -> tuple[Dependency, ...]:
    """Return the dependencies of a container that reads the variables *secrets*."""
    return tuple(part for name, part in _NEEDED_FOR.items() if name in secrets)


def tls_sources(spec: HealthIngestSpec, dependency: Dependency) -> TlsSources:
    """Return the sources for *dependency*: its own, else the bundle of `spec.tls`."""
    oidc = spec.accounts.oidc
    mail = spec.accounts.mail
    is_absent = {
        Dependency.CACHE: spec.cache is None,
        Dependency.OIDC: oidc is None,
        Dependency.MAIL: mail is None,
    }
    if is_absent.get(dependency, False):
        return TlsSources(None)
    own: TlsSpec | ClientTlsSpec | None = {
        Dependency.STORE: spec.object_store.tls,
        Dependency.BROKER: spec.broker.tls,
        Dependency.DATABASE: spec.database.tls,
        Dependency.CACHE: spec.cache.tls if spec.cache else None,
        Dependency.OIDC: oidc.tls if oidc else None,
        Dependency.MAIL: mail.tls if mail else None,
    }[dependency]
    bundle = own.ca_bundle if own is not None else None
    if bundle is None and spec.tls is not None:
        bundle = spec.tls.ca_bundle
    client = own.client_certificate_secret_ref if isinstance(own, ClientTlsSpec) else None
    return TlsSources(bundle, client.name if client else None)


def has_tls_sources(spec: HealthIngestSpec) -> bool:
    """Whether the spec names a bundle or a client certificate."""
    return any(tls_sources(spec, part) != TlsSources(None) for part in Dependency)


def tls_files(spec: HealthIngestSpec, dependencies: Iterable[Dependency]) -> dict[str, str]:
    """Return the path of each file for *dependencies* by its variable, if the spec names it."""
    found = {}
    for dependency in dependencies:
        sources = tls_sources(spec, dependency)
        names = (
            _CA_FILE if sources.ca_bundle else "",
            CERTIFICATE_KEY if sources.client_secret else "",
            PRIVATE_KEY if sources.client_secret else "",
        )
        for variable, name in zip(_VARIABLES[dependency], names, strict=False):
            if name:
                found[variable] = f"{TLS_FOLDER}/{dependency}/{name}"
    return found


def tls_volume(
    spec: HealthIngestSpec, name: str, dependencies: Iterable[Dependency]
) -> Manifest | None:
    """Return the volume with the files for *dependencies*; None: there are no files."""
    projected = [
        source
        for dependency in dependencies
        for source in _projections(tls_sources(spec, dependency), dependency)
    ]
    if not projected:
        return None
    return {"name": name, "projected": {"defaultMode": secret_mode(spec), "sources": projected}}


def _projections(sources: TlsSources, folder: str) -> list[Manifest]:
    found: list[Manifest] = []
    bundle = sources.ca_bundle
    for kind, reference in (
        ("configMap", bundle and bundle.config_map_key_ref),
        ("secret", bundle and bundle.secret_key_ref),
    ):
        if reference:
            items = [{"key": reference.key, "path": f"{folder}/{_CA_FILE}"}]
            found.append({kind: {"name": reference.name, "items": items}})
    if sources.client_secret:
        items = [{"key": key, "path": f"{folder}/{key}"} for key in (CERTIFICATE_KEY, PRIVATE_KEY)]
        found.append({"secret": {"name": sources.client_secret, "items": items}})
    return found
