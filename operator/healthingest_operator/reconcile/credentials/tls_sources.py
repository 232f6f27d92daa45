"""Reads bundles and client certificates at every reconciliation; they are never watched."""

from healthingest_contract.conditions import Reason
from healthingest_contract.tls import TlsMaterial, TlsMaterialError, check_material
from healthingest_operator.api.v1alpha1 import CaBundleSource
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.ports import Reader
from healthingest_operator.resources.secrets import decode
from healthingest_operator.resources.tls import CERTIFICATE_KEY, PRIVATE_KEY, TlsSources


async def tls_material(cluster: Reader, namespace: str, sources: TlsSources) -> TlsMaterial:
    """
    Return the certificates of *sources*.

    Raises:
        DependencyError: an object or key is missing, or its value is unusable; the message names
            object and key, and contains no value.
    """
    bundle = None
    if sources.ca_bundle is not None:
        bundle = await _bundle(cluster, namespace, sources.ca_bundle)
    if sources.client_secret is None:
        return TlsMaterial(bundle)
    certificate, key = await _client(cluster, namespace, sources.client_secret)
    return TlsMaterial(bundle, certificate, key)


async def _bundle(cluster: Reader, namespace: str, source: CaBundleSource) -> bytes:
    kind = "ConfigMap" if source.config_map_key_ref else "Secret"
    reference = source.config_map_key_ref or source.secret_key_ref
    name = reference.name if reference else ""
    key = reference.key if reference else ""
    found = await cluster.read("v1", kind, namespace, name)
    title = f"{kind} {namespace}/{name} with the CA bundle"
    if found is None:
        raise DependencyError(Reason.CA_BUNDLE_NOT_FOUND, f"{title} does not exist: create it")
    values = decode(found) if kind == "Secret" else found.get("data") or {}
    if key not in values:
        raise DependencyError(Reason.CA_BUNDLE_NOT_FOUND, f"{title} has no key {key}: add it")
    text = str(values[key]).encode()
    try:
        check_material(TlsMaterial(text))
    except TlsMaterialError as error:
        message = f"key {key} of {title} {error}: write certificates in PEM into it"
        raise DependencyError(Reason.CA_BUNDLE_INVALID, message) from None
    return text


async def _client(cluster: Reader, namespace: str, name: str) -> tuple[bytes, bytes]:
    title = f"Secret {namespace}/{name} with the client certificate"
    found = await cluster.read("v1", "Secret", namespace, name)
    if found is None:
        raise DependencyError(Reason.SECRET_NOT_FOUND, f"{title} does not exist: create it")
    values = decode(found)
    for key in (CERTIFICATE_KEY, PRIVATE_KEY):
        if not values.get(key):
            message = f"{title} has no key {key}, or an empty one: add it"
            raise DependencyError(Reason.SECRET_KEY_MISSING, message)
    certificate = values[CERTIFICATE_KEY].encode()
    key_text = values[PRIVATE_KEY].encode()
    try:
        check_material(TlsMaterial(None, certificate, key_text))
    except TlsMaterialError as error:
        message = f"{title} {error}: write both into it"
        raise DependencyError(Reason.SECRET_VALUE_INVALID, message) from None
    return certificate, key_text
