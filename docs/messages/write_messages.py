"""
Writes what follows from the messages in `contract/`: `make messages`.

That is the page, the AsyncAPI document and a JSON Schema for each message. Run from the
repository's root. With `--check` it writes nothing and ends with 1 when a file differs.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from healthingest_contract import message_schemas
from healthingest_contract.message_schemas import MESSAGES, Message
from healthingest_service.main.api import VERSION

FOLDER: Final = Path("docs/reference")
_INTRODUCTION: Final = """\
<!-- `make messages` writes this page from contract/healthingest_contract/message_schemas.py. -->

# Messages

What consumers get from RabbitMQ, for people. For programs there are an
[AsyncAPI 3 document](asyncapi.json) and JSON Schemas of the bodies. A service with `/openapi.json`
has `/asyncapi.json`, too.

Each message is persistent, and may be delivered more than once. Later versions may add fields and
headers: ignore those that you do not know. A change that breaks consumers gets another type, with
`v2` at its end.
"""


def main() -> int:
    """Write the files, or with `--check` name those that differ; returns the exit code."""
    is_check = sys.argv[1:] == ["--check"]
    different = []
    for path, text in _files():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            different.append(path)
            if not is_check:
                path.write_text(text, encoding="utf-8")
    if is_check and different:
        for path in different:
            sys.stderr.write(f"{path} differs from its source: run `make messages`\n")
        return 1
    return 0


def _files() -> Iterator[tuple[Path, str]]:
    yield FOLDER / "messages.md", page()
    yield FOLDER / "asyncapi.json", _json(message_schemas.asyncapi_document(VERSION))
    for message in MESSAGES:
        yield _schema_path(message), _json(message_schemas.schema_file(message))


def _schema_path(message: Message) -> Path:
    return FOLDER / f"{message.name}.v1.schema.json"


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def page() -> str:
    """Return the page."""
    return "\n".join([_INTRODUCTION, *(_section(message) for message in MESSAGES)])


def _section(message: Message) -> str:
    headers = message_schemas.headers_schema(message)["properties"]
    return f"""\
## {message.title}

{message.summary}

- Routing key: `{message.routing_key_prefix}.` and the record type in lower case.
  Bind `{message.routing_key_prefix}.#` for all.
- Type: `{message.event_type}`
- Schema of the body: [{_schema_path(message).name}]({_schema_path(message).name})

| field | meaning |
| --- | --- |
{_rows(message.properties)}

| header | meaning |
| --- | --- |
{_rows(headers)}

```json
{_json(message_schemas.example_body(message)).strip()}
```
"""


def _rows(properties: Any) -> str:  # noqa: ANN401 - a part of a JSON document
    return "\n".join(f"| `{name}` | {one['description']} |" for name, one in properties.items())


if __name__ == "__main__":
    sys.exit(main())
