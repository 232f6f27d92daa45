"""The user's Secrets: read by name at every reconciliation, never watched, never listed."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit

from healthingest_contract.conditions import Reason
from healthingest_contract.tls import NO_TLS_MATERIAL, TlsMaterial
from healthingest_operator.api.healthingest import HealthIngest
from healthingest_operator.api.v1alpha1 import BrokerUserSecretRef, StoreSecretRef
from healthingest_operator.reconcile.credentials.given_secret import (
    GivenSecret,
    Reading,
    given_secret,
)
from healthingest_operator.reconcile.credentials.tls_sources import tls_material
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.ports import BrokerAccess, BrokerUser, Reader, StoreAccess
from healthingest_operator.resources.connection_secrets import (
    BROKER_FORMS,
    CACHE_FORMS,
    DATABASE_FORMS,
    STORE_FORMS,
    Surroundings,
)
from healthingest_operator.resources.secrets import UserSecrets, decode
from healthingest_operator.resources.tls import Dependency, tls_sources

_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class DatabaseAccess:
    """`url` of an existing database, or `admin_url` of a server on which to create one."""

    url: str | None = None
    admin_url: str | None = None
    tls: TlsMaterial = NO_TLS_MATERIAL


@dataclass(frozen=True, slots=True)
class Credentials:
    """Access to each external system, or the error that explains why it is unknown."""

    store: StoreAccess | DependencyError
    store_admin: StoreAccess | DependencyError
    broker: BrokerAccess | BrokerUser | DependencyError
    database: DatabaseAccess | DependencyError
    cache_url: str | DependencyError | None
    cache_tls: TlsMaterial | DependencyError = NO_TLS_MATERIAL
    oidc_tls: TlsMaterial | DependencyError = NO_TLS_MATERIAL
    mail_login: tuple[str, str] | DependencyError | None = field(default=None, repr=False)
    mail_tls: TlsMaterial | DependencyError = NO_TLS_MATERIAL
    client_secrets: str | DependencyError | None = field(default=None, repr=False)
    """The client secrets at identity providers, in JSON by the URL of the issuer."""
    store_reader: StoreAccess | DependencyError | None = None
    """The access of consumers; None: the spec names none."""
    warnings: tuple[str, ...] = ()
    """Sentences about values that were trimmed."""

    @property
    def errors(self) -> list[DependencyError]:
        """The errors of the Secrets, each once."""
        parts = (
            self.store,
            self.store_admin,
            self.broker,
            self.database,
            self.cache_url,
            self.cache_tls,
            self.oidc_tls,
            self.mail_login,
            self.mail_tls,
            self.client_secrets,
            self.store_reader,
        )
        found = {part.message: part for part in parts if isinstance(part, DependencyError)}
        return list(found.values())

    @property
    def tls(self) -> dict[str, str]:
        """
        A fingerprint of the certificates of each dependency; empty: they are unknown.

        Raises:
            DependencyError: those of cache, identity providers or mail server are unknown. Unlike
                other dependencies, these do not hold back a rollout, whose pods could not start.
        """
        if isinstance(self.cache_tls, DependencyError):
            raise self.cache_tls
        if isinstance(self.oidc_tls, DependencyError):
            raise self.oidc_tls
        if isinstance(self.mail_tls, DependencyError):
            raise self.mail_tls
        store = self.store.tls.fingerprint if isinstance(self.store, StoreAccess) else ""
        broker = "" if isinstance(self.broker, DependencyError) else self.broker.tls.fingerprint
        access = self.database
        database = access.tls.fingerprint if isinstance(access, DatabaseAccess) else ""
        return {
            Dependency.STORE: store,
            Dependency.BROKER: broker,
            Dependency.DATABASE: database,
            Dependency.CACHE: self.cache_tls.fingerprint,
            Dependency.OIDC: self.oidc_tls.fingerprint,
            Dependency.MAIL: self.mail_tls.fingerprint,
        }

    @property
    def user_secrets(self) -> UserSecrets:
        """The values that are copied into the operator's own Secret for the service."""
        broker = self.broker
        store = _if_known(self.store, StoreAccess)
        user = _if_known(broker, BrokerUser)
        database = _if_known(self.database, DatabaseAccess) or DatabaseAccess()
        reader = _if_known(self.store_reader, StoreAccess)
        return UserSecrets(
            store_access_key_id=store.access_key_id if store else None,
            store_secret_access_key=store.secret_access_key if store else None,
            broker_endpoint=None if isinstance(broker, DependencyError) else broker.amqp_url,
            broker_login=(user.username, user.password) if user else None,
            database_url=database.url,
            database_admin_url=database.admin_url,
            reader=_reader_values(reader) if reader else None,
            cache_url=_if_known(self.cache_url, str),
            client_secrets=_if_known(self.client_secrets, str),
            mail_login=None if isinstance(self.mail_login, DependencyError) else self.mail_login,
        )


def _if_known(value: object, kind: type[_Found]) -> _Found | None:
    """Return *value* if it is of this kind; None: it is not given, or its Secret is unusable."""
    return value if isinstance(value, kind) else None


def _reader_values(access: StoreAccess) -> dict[str, str]:
    """Return the values by which consumers read the bucket; AWS has no endpoint of its own."""
    bundle = access.tls.ca_bundle
    values = {
        "s3Endpoint": access.endpoint,
        "s3Region": access.region,
        "s3Bucket": access.bucket,
        "s3AccessKeyId": access.access_key_id,
        "s3SecretAccessKey": access.secret_access_key,
        "s3CaBundle": None if bundle is None else bundle.decode("ascii", "ignore"),
    }
    return {name: value for name, value in values.items() if value is not None}


async def credentials(cluster: Reader, owner: HealthIngest) -> Credentials:
    """Read all Secrets that the spec names."""
    reader = _Reader(cluster, owner)
    spec = owner.spec
    store_ref = spec.object_store.credentials_secret_ref
    store = await _or_error(lambda: reader.store("credentialsSecretRef", store_ref))
    admin_ref = spec.object_store.admin_secret_ref
    admin = (
        await _or_error(lambda: reader.store("adminSecretRef", admin_ref)) if admin_ref else store
    )
    reader_ref = spec.object_store.reader_secret_ref
    store_reader = (
        await _or_error(lambda: reader.store("readerSecretRef", reader_ref)) if reader_ref else None
    )
    cache_tls = await _or_error(lambda: reader.tls(Dependency.CACHE))
    return Credentials(
        store=store,
        store_admin=admin,
        broker=await _or_error(reader.broker),
        database=await _or_error(reader.database),
        cache_url=await _or_error(reader.cache),
        cache_tls=cache_tls,
        oidc_tls=await _or_error(lambda: reader.tls(Dependency.OIDC)),
        mail_login=await _or_error(reader.mail_login),
        mail_tls=await _or_error(lambda: reader.tls(Dependency.MAIL)),
        client_secrets=await _or_error(reader.client_secrets),
        store_reader=store_reader,
        warnings=tuple(dict.fromkeys(reader.warnings)),
    )


async def _or_error(read: Callable[[], Awaitable[_Found]]) -> _Found | DependencyError:
    try:
        return await read()
    except DependencyError as error:
        return error


class _Reader:
    def __init__(self, cluster: Reader, owner: HealthIngest) -> None:
        self._cluster = cluster
        self._owner = owner
        self._namespace = owner.key.namespace
        self.warnings: list[str] = []

    async def store(self, name: str, reference: StoreSecretRef | None) -> StoreAccess:
        """Return the access with the keys of this Secret, or without keys if there is none."""
        key_id, secret_key = await self._store_keys(f"spec.objectStore.{name}", reference)
        wanted = self._owner.spec.object_store
        return StoreAccess(
            wanted.endpoint,
            wanted.region,
            wanted.bucket,
            key_id,
            secret_key,
            await self.tls(Dependency.STORE),
        )

    async def _store_keys(
        self, path: str, reference: StoreSecretRef | None
    ) -> tuple[str | None, str | None]:
        if reference is None:
            return None, None
        own_names = ("accessKeyId", "secretAccessKey")
        around = Surroundings(self._namespace)
        found = await self._given(Reading(path, reference, own_names, STORE_FORMS, around))
        return found.value("accessKeyId"), found.value("secretAccessKey")

    async def broker(self) -> BrokerAccess | BrokerUser:
        wanted = self._owner.spec.broker
        around = Surroundings(self._namespace, wanted.management_port)
        if wanted.user_secret_ref is not None:
            return await self._broker_user(wanted.user_secret_ref, around)
        reference = wanted.admin_secret_ref
        assert reference is not None  # noqa: S101 - a rule of the API type
        found = await self._given(
            Reading("spec.broker.adminSecretRef", reference, ("amqpUrl",), BROKER_FORMS, around)
        )
        management = found.address("managementUrl", {"http", "https"}).rstrip("/")
        return BrokerAccess(
            management,
            _amqp_endpoint(found),
            found.value("username"),
            found.value("password"),
            await self.tls(Dependency.BROKER),
        )

    async def _broker_user(
        self, reference: BrokerUserSecretRef, around: Surroundings
    ) -> BrokerUser:
        found = await self._given(
            Reading("spec.broker.userSecretRef", reference, ("amqpUrl",), BROKER_FORMS, around)
        )
        return BrokerUser(
            _amqp_endpoint(found),
            found.value("username"),
            found.value("password"),
            await self.tls(Dependency.BROKER),
        )

    async def database(self) -> DatabaseAccess:
        reference = self._owner.spec.database.secret_ref
        own_names = ("url", "adminUrl")
        around = Surroundings(self._namespace)
        found = await self._given(
            Reading("spec.database.secretRef", reference, own_names, DATABASE_FORMS, around)
        )
        tls = await self.tls(Dependency.DATABASE)
        if found.has("url"):
            return DatabaseAccess(url=found.database_address("url"), tls=tls)
        if found.has("adminUrl"):
            return DatabaseAccess(admin_url=found.database_address("adminUrl"), tls=tls)
        raise found.missing(*own_names)

    async def tls(self, dependency: Dependency) -> TlsMaterial:
        sources = tls_sources(self._owner.spec, dependency)
        return await tls_material(self._cluster, self._namespace, sources)

    async def cache(self) -> str | None:
        cache = self._owner.spec.cache
        if cache is None:
            return None
        around = Surroundings(self._namespace)
        found = await self._given(
            Reading("spec.cache.secretRef", cache.secret_ref, ("url",), CACHE_FORMS, around)
        )
        return found.address("url", {"redis", "rediss"})

    async def mail_login(self) -> tuple[str, str] | None:
        mail = self._owner.spec.accounts.mail
        if mail is None or mail.secret_ref is None:
            return None
        around = Surroundings(self._namespace)
        path = "spec.accounts.mail.secretRef"
        names = ("username", "password")
        found = await self._given(Reading(path, mail.secret_ref, names, (), around))
        return found.value("username"), found.value("password")

    async def client_secrets(self) -> str | None:
        oidc = self._owner.spec.accounts.oidc
        around = Surroundings(self._namespace)
        found = {}
        for index, issuer in enumerate(oidc.issuers if oidc else ()):
            reference = issuer.sign_in.client_secret_ref if issuer.sign_in else None
            if reference is not None:
                path = f"spec.accounts.oidc.issuers[{index}].signIn.clientSecretRef"
                given = await self._given(Reading(path, reference, ("clientSecret",), (), around))
                found[issuer.url] = given.value("clientSecret")
        return json.dumps(found, ensure_ascii=False, separators=(",", ":")) if found else None

    async def _given(self, reading: Reading) -> GivenSecret:
        secret = await self._cluster.read("v1", "Secret", self._namespace, reading.reference.name)
        if secret is None:
            message = f"{reading.title} does not exist: create it"
            raise DependencyError(Reason.SECRET_NOT_FOUND, message)
        found = given_secret(reading, decode(secret))
        self.warnings += found.warnings
        return found


def _amqp_endpoint(found: GivenSecret) -> str:
    """
    Return scheme, host and port of AMQP.

    Raises:
        DependencyError: the address is missing, or has a login or path.
    """
    name = "amqpUrl"
    parts = urlsplit(found.address(name, {"amqp", "amqps"}))
    if parts.username or parts.password or parts.path.strip("/"):
        rule = "must have scheme, host and port alone, without login and path"
        raise found.invalid(name, rule)
    return f"{parts.scheme}://{parts.netloc}"
