"""
Writes compose/secrets/, once: passwords, keys, and the broker's definitions.

`make compose-secrets` calls it. Files that exist are kept, because the data in the volumes belongs
to them. The folder is readable by its owner only; the files are readable by all, because each
container reads them as a user of its own.
"""

import base64
import hashlib
import json
import re
import secrets
import sys
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from healthingest_contract import environment as env
from healthingest_contract.topology import (
    ALL_ERASURES_BINDING,
    ALL_UPLOADS_BINDING,
    DEFAULT_EXCHANGE,
    ERASURES_QUEUE,
    dead_letter_exchange,
    dead_letter_queue,
)

FOLDER: Final = Path(__file__).parent / "secrets"
VIRTUAL_HOST: Final = "healthingest"
QUEUES: Final = {"processing": ALL_UPLOADS_BINDING, ERASURES_QUEUE: ALL_ERASURES_BINDING}
"""The pattern of the routing keys that each queue receives."""
ACCESS_KEY_ID: Final = "healthingest"
_MAX_QUEUE_BYTES: Final = 4 << 30
_DELIVERY_LIMIT: Final = 20
_UNLIMITED_DELIVERIES: Final = 2**31 - 1


def main() -> int:
    """Write the files; returns the exit code."""
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    if any(FOLDER.iterdir()):
        sys.stdout.write(f"{FOLDER} has files already; remove it together with the volumes\n")
        return 0
    for name, text in files().items():
        path = FOLDER / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o444)
    sys.stdout.write(f"wrote {FOLDER}\n")
    return 0


def files() -> dict[str, str]:
    """Return new secrets by file name."""
    postgres = secrets.token_urlsafe(24)
    redis = secrets.token_urlsafe(24)
    relay = secrets.token_urlsafe(24)
    consumer = secrets.token_urlsafe(24)
    s3 = secrets.token_urlsafe(30)
    erasure_key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    key = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    return {
        env.DATABASE_URL: f"postgresql://healthingest:{postgres}@postgres:5432/healthingest",
        env.STORE_ACCESS_KEY_ID: ACCESS_KEY_ID,
        env.STORE_SECRET_ACCESS_KEY: s3,
        env.BROKER_URL: f"amqp://relay:{relay}@rabbitmq:5672/{VIRTUAL_HOST}",
        env.CACHE_URL: f"redis://:{redis}@redis:6379/0",
        env.IDENTITY_SIGNING_KEYS: key.decode("ascii"),
        env.IDENTITY_ERASURE_KEY: erasure_key,
        "postgres-password": postgres,
        "redis.conf": f"requirepass {redis}\nappendonly no\nsave 60 1\ndir /data\n",
        "rabbitmq-definitions.json": json.dumps(definitions(relay, consumer), indent=2),
        "consumer-url": f"amqp://consumer:{consumer}@rabbitmq:5672/{VIRTUAL_HOST}",
        "s3.env": f"ROOT_ACCESS_KEY={ACCESS_KEY_ID}\nROOT_SECRET_KEY={s3}\n",
    }


def definitions(relay_password: str, consumer_password: str) -> dict[str, Any]:
    """
    Return the broker's users and topology, the same that the operator creates on a cluster.

    Source: RabbitMQ docs, "Schema Definition Export and Import".
    """
    dead_exchange = dead_letter_exchange(DEFAULT_EXCHANGE)
    names = [name for queue in QUEUES for name in (queue, dead_letter_queue(queue))]
    readable = f"^({'|'.join(re.escape(name) for name in names)})$"
    exchange_pattern = f"^{re.escape(DEFAULT_EXCHANGE)}$"
    return {
        "users": [_user("relay", relay_password), _user("consumer", consumer_password)],
        "vhosts": [{"name": VIRTUAL_HOST, "default_queue_type": "quorum"}],
        "permissions": [
            _permission("relay", write=exchange_pattern, read="^$"),
            _permission("consumer", write="^$", read=readable),
        ],
        "exchanges": [_exchange(DEFAULT_EXCHANGE, "topic"), _exchange(dead_exchange, "direct")],
        "policies": [policy for queue in QUEUES for policy in _policies(queue, dead_exchange)],
        "queues": [_queue(name) for name in names],
        "bindings": [
            *(_binding(DEFAULT_EXCHANGE, queue, pattern) for queue, pattern in QUEUES.items()),
            *(_binding(dead_exchange, dead_letter_queue(queue), queue) for queue in QUEUES),
        ],
    }


def _user(name: str, password: str) -> dict[str, Any]:
    """Return the salted hash, as in RabbitMQ docs, "Credentials and Passwords"."""
    salt = secrets.token_bytes(4)
    digest = hashlib.sha256(salt + password.encode()).digest()
    return {
        "name": name,
        "password_hash": base64.b64encode(salt + digest).decode("ascii"),
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": [],
    }


def _permission(user: str, *, write: str, read: str) -> dict[str, str]:
    return {"user": user, "vhost": VIRTUAL_HOST, "configure": "^$", "write": write, "read": read}


def _exchange(name: str, kind: str) -> dict[str, Any]:
    described = {"type": kind, "durable": True, "auto_delete": False, "internal": False}
    return {"name": name, "vhost": VIRTUAL_HOST, "arguments": {}, **described}


def _policies(queue: str, dead_exchange: str) -> list[dict[str, Any]]:
    """Return the policies of a queue and of its dead-letter queue."""
    limits = {"overflow": "reject-publish", "max-length-bytes": _MAX_QUEUE_BYTES}
    live = limits | {
        "dead-letter-exchange": dead_exchange,
        "dead-letter-routing-key": queue,
        "dead-letter-strategy": "at-least-once",
        "delivery-limit": _DELIVERY_LIMIT,
    }
    dead = limits | {"delivery-limit": _UNLIMITED_DELIVERIES}
    return [_policy(queue, live), _policy(dead_letter_queue(queue), dead)]


def _policy(queue: str, definition: dict[str, Any]) -> dict[str, Any]:
    pattern = f"^{re.escape(queue)}$"
    described = {"pattern": pattern, "apply-to": "queues", "priority": 100}
    return {
        "name": f"healthingest-{queue}",
        "vhost": VIRTUAL_HOST,
        "definition": definition,
        **described,
    }


def _queue(name: str) -> dict[str, Any]:
    described = {"durable": True, "auto_delete": False, "arguments": {"x-queue-type": "quorum"}}
    return {"name": name, "vhost": VIRTUAL_HOST, **described}


def _binding(source: str, queue: str, key: str) -> dict[str, Any]:
    described = {"destination_type": "queue", "routing_key": key, "arguments": {}}
    return {"source": source, "vhost": VIRTUAL_HOST, "destination": queue, **described}


if __name__ == "__main__":
    sys.exit(main())
