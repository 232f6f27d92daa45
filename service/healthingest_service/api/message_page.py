"""
The page `/docs/messages`: the AsyncAPI document for people.

It is written here from the document, without a script. AsyncAPI's own renderer
(`@asyncapi/react-component` 3.2) has 2.9 MB of JavaScript, and compiles code at run time, which the
policy of our pages forbids.
"""

import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

from healthingest_contract.message_schemas import JsonObject

_CODE: Final = re.compile("`([^`]+)`")
_HEAD: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="messages.css">
</head>
<body>
<main>
<h1>{title}</h1>
"""
_TAIL: Final = "</main>\n</body>\n</html>\n"


def message_page(document: JsonObject) -> str:
    """Return the page of an AsyncAPI document of ours."""
    info = document["info"]
    title = escape(f"{info['title']} {info['version']}")
    return _HEAD.format(title=title) + "\n".join(_body(document)) + _TAIL


def _body(document: JsonObject) -> Iterator[str]:
    yield f"<p>{_text(document['info']['description'])}</p>"
    yield (
        '<p>For programs: <a href="../asyncapi.json">the AsyncAPI document</a>. '
        'The routes: <a href="../docs">the upload API</a>.</p>'
    )
    for name, channel in document["channels"].items():
        for title in channel["messages"]:
            message = document["components"]["messages"][title]
            body = document["components"]["schemas"][title]
            yield from _message(name, channel, message, body)


def _message(
    name: str, channel: JsonObject, message: JsonObject, body: JsonObject
) -> Iterator[str]:
    amqp = channel["bindings"]["amqp"]
    exchange = amqp["exchange"]
    (example,) = message["examples"]
    yield f'<section id="{escape(name)}">'
    yield f"<h2>{escape(message['title'])}</h2>"
    yield f"<p>{_text(message['summary'])}</p>"
    yield (
        f"<p>Routing key <code>{escape(channel['address'])}</code>, {escape(exchange['type'])} "
        f"exchange <code>{escape(exchange['name'])}</code>. {_text(channel['description'])}</p>"
    )
    yield from _table("Body", body)
    yield from _table("Headers", message["headers"])
    yield f"<h3>Example</h3>\n<pre>{escape(json.dumps(example['payload'], indent=2))}</pre>"
    yield "</section>"


def _table(caption: str, schema: JsonObject) -> Iterator[str]:
    yield f"<table><caption>{caption}</caption>"
    yield '<thead><tr><th scope="col">name</th><th scope="col">type</th>'
    yield '<th scope="col">meaning</th></tr></thead><tbody>'
    for name, described in schema["properties"].items():
        optional = "" if name in schema["required"] else ", optional"
        kind = f"{escape(_kind(described))}{optional}"
        meaning = _text(described["description"])
        yield f"<tr><td><code>{escape(name)}</code></td><td>{kind}</td><td>{meaning}</td></tr>"
    yield "</tbody></table>"


def _kind(schema: Mapping[str, Any]) -> str:
    """Return the type of a value in words: its format, its only values, or its JSON type."""
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return " | ".join(schema["enum"])
    return str(schema.get("format", schema["type"]))


def _text(markdown: str) -> str:
    """Return a text whose only markup is code."""
    return _CODE.sub(r"<code>\1</code>", escape(markdown))
