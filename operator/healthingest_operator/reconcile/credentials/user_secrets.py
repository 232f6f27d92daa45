"""The user's Secrets: read by name at every reconciliation, never watched, never listed."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from healthingest_contract.conditions import Reason
from healthingest_contract.database_address import DatabaseAddressError, read_database_address
from healthingest_contract.tls import FILE_PARAMETERS, NO_TLS_MATERIAL, TlsMaterial
from healthingest_operator.api.healthingest import HealthIngest
from healthingest_operator.reconcile.credentials.tls_sources import tls_material
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.ports import BrokerAccess, Reader, StoreAccess
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
    broker: BrokerAccess | DependencyError
    database: DatabaseAccess | DependencyError
    cache_url: str | DependencyError | None
    cache_tls: TlsMaterial | DependencyError = NO_TLS_MATERIAL

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
        )
        found = {part.message: part for part in parts if isinstance(part, DependencyError)}
        return list(found.values())

    @property
    def tls(self) -> dict[str, str]:
        """
        A fingerprint of the certificates of each dependency; empty: they are unknown.

        Raises:
            DependencyError: those of the cache are unknown. Unlike those of other dependencies,
                they do not hold back a rollout, whose pods could not start.
        """
        if isinstance(self.cache_tls, DependencyError):
            raise self.cache_tls
        store = self.store.tls.fingerprint if isinstance(self.store, StoreAccess) else ""
        broker = self.broker.tls.fingerprint if isinstance(self.broker, BrokerAccess) else ""
        access = self.database
        database = access.tls.fingerprint if isinstance(access, DatabaseAccess) else ""
        return {
            Dependency.STORE: store,
            Dependency.BROKER: broker,
            Dependency.DATABASE: database,
            Dependency.CACHE: self.cache_tls.fingerprint,
        }

    @property
    def user_secrets(self) -> UserSecrets:
        """The values that are copied into the operator's own Secret for the service."""
        store = self.store if isinstance(self.store, StoreAccess) else None
        database = self.database if isinstance(self.database, DatabaseAccess) else DatabaseAccess()
        return UserSecrets(
            store_access_key_id=store.access_key_id if store else None,
            store_secret_access_key=store.secret_access_key if store else None,
            broker_endpoint=self.broker.amqp_url if isinstance(self.broker, BrokerAccess) else None,
            database_url=database.url,
            database_admin_url=database.admin_url,
            cache_url=self.cache_url if isinstance(self.cache_url, str) else None,
        )


async def credentials(cluster: Reader, owner: HealthIngest) -> Credentials:
    """Read all Secrets that the spec names."""
    reader = _Reader(cluster, owner.key.namespace)
    spec = owner.spec
    store_ref = spec.object_store.credentials_secret_ref
    store = await _or_error(lambda: reader.store(owner, store_ref.name if store_ref else None))
    admin_ref = spec.object_store.admin_secret_ref
    admin = await _or_error(lambda: reader.store(owner, admin_ref.name)) if admin_ref else store
    cache = spec.cache
    cache_tls = await _or_error(lambda: reader.tls(owner, Dependency.CACHE))
    return Credentials(
        store=store,
        store_admin=admin,
        broker=await _or_error(lambda: reader.broker(owner, spec.broker.admin_secret_ref.name)),
        database=await _or_error(lambda: reader.database(owner, spec.database.secret_ref.name)),
        cache_url=await _or_error(lambda: reader.cache(cache.secret_ref.name)) if cache else None,
        cache_tls=cache_tls,
    )


async def _or_error(read: Callable[[], Awaitable[_Found]]) -> _Found | DependencyError:
    try:
        return await read()
    except DependencyError as error:
        return error


class _Reader:
    def __init__(self, cluster: Reader, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace

    async def store(self, owner: HealthIngest, name: str | None) -> StoreAccess:
        """Return the access with the keys of this Secret, or without keys if *name* is None."""
        values = {} if name is None else await self._values(name)
        wanted = owner.spec.object_store
        return StoreAccess(
            wanted.endpoint,
            wanted.region,
            wanted.bucket,
            None if name is None else self._value(values, name, "accessKeyId"),
            None if name is None else self._value(values, name, "secretAccessKey"),
            await self.tls(owner, Dependency.STORE),
        )

    async def broker(self, owner: HealthIngest, name: str) -> BrokerAccess:
        values = await self._values(name)
        management = self._address(values, name, "managementUrl", {"http", "https"}).rstrip("/")
        amqp = self._address(values, name, "amqpUrl", {"amqp", "amqps"})
        parts = urlsplit(amqp)
        if parts.username or parts.password or parts.path.strip("/"):
            raise self._invalid(
                name, "amqpUrl", "must have scheme, host and port alone, without login and path"
            )
        return BrokerAccess(
            management,
            f"{parts.scheme}://{parts.netloc}",
            self._value(values, name, "username"),
            self._value(values, name, "password"),
            await self.tls(owner, Dependency.BROKER),
        )

    async def database(self, owner: HealthIngest, name: str) -> DatabaseAccess:
        values = await self._values(name)
        tls = await self.tls(owner, Dependency.DATABASE)
        if "url" in values:
            return DatabaseAccess(url=self._database_address(values, name, "url"), tls=tls)
        if "adminUrl" in values:
            return DatabaseAccess(
                admin_url=self._database_address(values, name, "adminUrl"), tls=tls
            )
        message = f"Secret {self._namespace}/{name} has neither key url nor key adminUrl: add one"
        raise DependencyError(Reason.SECRET_KEY_MISSING, message)

    async def tls(self, owner: HealthIngest, dependency: Dependency) -> TlsMaterial:
        sources = tls_sources(owner.spec, dependency)
        return await tls_material(self._cluster, self._namespace, sources)

    async def cache(self, name: str) -> str:
        return self._address(await self._values(name), name, "url", {"redis", "rediss"})

    async def _values(self, name: str) -> dict[str, str]:
        secret = await self._cluster.read("v1", "Secret", self._namespace, name)
        if secret is None:
            message = f"Secret {self._namespace}/{name} does not exist: create it"
            raise DependencyError(Reason.SECRET_NOT_FOUND, message)
        return {key: value.strip() for key, value in decode(secret).items()}

    def _value(self, values: dict[str, str], name: str, key: str) -> str:
        if not values.get(key):
            message = f"Secret {self._namespace}/{name} has no key {key}, or an empty one: add it"
            raise DependencyError(Reason.SECRET_KEY_MISSING, message)
        return values[key]

    def _address(self, values: dict[str, str], name: str, key: str, schemes: set[str]) -> str:
        value = self._value(values, name, key)
        try:
            parts = urlsplit(value)
            sound = (
                parts.scheme in schemes
                and bool(parts.hostname)
                and (parts.port is None or parts.port > 0)
            )
        except ValueError:
            sound = False
        if not sound:
            raise self._invalid(name, key, f"must be an address such as {min(schemes)}://host:port")
        return value

    def _database_address(self, values: dict[str, str], name: str, key: str) -> str:
        value = self._value(values, name, key)
        try:
            parameters = read_database_address(value).parameters
        except DatabaseAddressError as error:
            raise self._invalid(name, key, f": {error}") from None
        if files := sorted(parameters & FILE_PARAMETERS):
            rule = f"names a file with {files[0]}: remove it and set spec.database.tls"
            raise self._invalid(name, key, rule)
        return value

    def _invalid(self, name: str, key: str, rule: str) -> DependencyError:
        return DependencyError(
            Reason.SECRET_VALUE_INVALID, f"key {key} of Secret {self._namespace}/{name} {rule}"
        )
