"""One of the user's Secrets: its values by this operator's names, and errors that name its keys."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import urlsplit

from healthingest_contract.conditions import Reason
from healthingest_contract.database_address import (
    DatabaseAddressError,
    read_database_address,
    with_hosts_first,
)
from healthingest_contract.tls import FILE_PARAMETERS
from healthingest_operator.api.v1alpha1 import (
    BrokerSecretRef,
    BrokerUserSecretRef,
    CacheSecretRef,
    DatabaseSecretRef,
    MailSecretRef,
    OidcClientSecretRef,
    StoreSecretRef,
)
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.resources.connection_secrets import (
    OTHER_NAMES,
    SecretForm,
    Surroundings,
    recognise,
)

KeyedRef: TypeAlias = (
    StoreSecretRef
    | BrokerSecretRef
    | BrokerUserSecretRef
    | DatabaseSecretRef
    | CacheSecretRef
    | MailSecretRef
    | OidcClientSecretRef
)


@dataclass(frozen=True, slots=True)
class Reading:
    """
    The field that names a Secret, and the forms that the Secret may have.

    `path` is the field that names it. `own_names` are names of values, any of which shows that the
    Secret has this operator's form; otherwise one of `forms` may match.
    """

    path: str
    reference: KeyedRef
    own_names: tuple[str, ...]
    forms: Sequence[SecretForm]
    around: Surroundings

    @property
    def title(self) -> str:
        """The Secret, for messages."""
        return f"Secret {self.around.namespace}/{self.reference.name}"


@dataclass(frozen=True, slots=True)
class GivenSecret:
    """
    The values of a Secret by this operator's names.

    `origins` names the key of each value whose key has another name. `warnings` has a sentence for
    each value that was trimmed.
    """

    reading: Reading
    values: Mapping[str, str] = field(repr=False)
    origins: Mapping[str, str]
    key_names: tuple[str, ...] = field(repr=False)
    warnings: tuple[str, ...] = ()

    def has(self, name: str) -> bool:
        """Whether the Secret has this value, perhaps an empty one."""
        return name in self.values

    def value(self, name: str) -> str:
        """
        Return a value.

        Raises:
            DependencyError: the value is missing or empty.
        """
        if not self.values.get(name):
            raise self.missing(name)
        return self.values[name]

    def address(self, name: str, schemes: set[str]) -> str:
        """
        Return a value that is an address with one of *schemes*.

        Raises:
            DependencyError: it is missing, or no such address.
        """
        value = self.value(name).strip()
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
            rule = f"must be an address such as {min(schemes)}://host:port"
            raise self.invalid(name, rule)
        return value

    def database_address(self, name: str) -> str:
        """
        Return a value that is the address of a PostgreSQL database.

        Raises:
            DependencyError: it is missing, or no such address.
        """
        value = with_hosts_first(self.value(name).strip())
        try:
            parameters = read_database_address(value).parameters
        except DatabaseAddressError as error:
            raise self.invalid(name, f": {error}") from None
        if files := sorted(parameters & FILE_PARAMETERS):
            rule = f"names a file with {files[0]}: remove it and set spec.database.tls"
            raise self.invalid(name, rule)
        return value

    def invalid(self, name: str, rule: str) -> DependencyError:
        """Return the error for a value that breaks *rule*; it does not contain the value."""
        origin = self.origins.get(name, f"key {name}")
        message = f"{origin} of {self.reading.title} {rule}"
        return DependencyError(Reason.SECRET_VALUE_INVALID, message)

    def missing(self, *names: str) -> DependencyError:
        """
        Return the error for a missing value; any one of *names* is enough.

        The message has the number of the Secret's keys, and names only well-known ones.
        """
        path = self.reading.path
        keys = [self._key(name) for name in names]
        if len(keys) > 1:
            lacks = " and ".join(f"no key {key}" for key in keys)
            remedy = "add one of them"
        else:
            lacks = f"no key {keys[0]}, or an empty one"
            remedy = "add it"
        named = f", which {path}.keys.{names[0]} names" if self.reading.reference.keys else ""
        message = f"{self.reading.title} has {lacks}{named}: {remedy}; {self._others(names)}"
        return DependencyError(Reason.SECRET_KEY_MISSING, message)

    def _others(self, names: Sequence[str]) -> str:
        for name in names:
            found = [key for key in OTHER_NAMES.get(name, ()) if key in self.key_names]
            if found and found[0] != self._key(name):
                path = f"{self.reading.path}.keys.{name}"
                return f"if its key {found[0]} has that value, set {path} to {found[0]}"
        count = len(self.key_names)
        return f"it has {count} {'key' if count == 1 else 'keys'} in all"

    def _key(self, name: str) -> str:
        return _key_names(self.reading.reference).get(name, name)


def given_secret(reading: Reading, found: Mapping[str, str]) -> GivenSecret:
    """
    Return the values of the Secret with the content *found*.

    With `keys` in the reference only these keys are read. Otherwise the Secret has this operator's
    form, or the first of the other forms that it matches.
    """
    trimmed = {key: value.rstrip("\r\n") for key, value in found.items()}
    mapped = _key_names(reading.reference)
    values = {name: trimmed[key] for name, key in mapped.items() if key in trimmed}
    origins = {name: f"key {key}" for name, key in mapped.items()}
    used = list(mapped.values())
    is_own = reading.reference.keys is not None or not values.keys().isdisjoint(reading.own_names)
    form = None if is_own else recognise(reading.forms, trimmed)
    if form is not None:
        translation = form.translate(trimmed, reading.around)
        values = {**translation.values, **values}
        origins = {**origins, **translation.origins}
        used += form.all_keys
    changed = [key for key in dict.fromkeys(used) if found.get(key) != trimmed.get(key)]
    return GivenSecret(reading, values, origins, tuple(sorted(found)), _warnings(reading, changed))


def _warnings(reading: Reading, trimmed_keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(
        f"key {key} of {reading.title} ends with a newline, which is ignored: remove it"
        for key in trimmed_keys
    )


def _key_names(reference: KeyedRef) -> dict[str, str]:
    """Return the key of each value, by this operator's name of the value."""
    if reference.keys is not None:
        return reference.keys.model_dump(by_alias=True)
    return {name: name for name in _NAMES[type(reference)]}


_NAMES = {
    StoreSecretRef: ("accessKeyId", "secretAccessKey"),
    BrokerSecretRef: ("managementUrl", "amqpUrl", "username", "password"),
    BrokerUserSecretRef: ("amqpUrl", "username", "password"),
    DatabaseSecretRef: ("url", "adminUrl"),
    CacheSecretRef: ("url",),
    MailSecretRef: ("username", "password"),
    OidcClientSecretRef: ("clientSecret",),
}
