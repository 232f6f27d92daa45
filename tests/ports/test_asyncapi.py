"""The AsyncAPI document is valid by the schema of AsyncAPI itself."""

import json
from pathlib import Path

from jsonschema import Draft7Validator

from healthingest_contract.message_schemas import ASYNCAPI_VERSION, asyncapi_document


def test_is_an_asyncapi_document(node_packages: Path) -> None:
    """And one with a mistake is not."""
    schemas = node_packages / "node_modules" / "@asyncapi" / "specs" / "schemas"
    schema = json.loads((schemas / f"{ASYNCAPI_VERSION}.json").read_text(encoding="utf-8"))
    validator = Draft7Validator(schema)
    document = asyncapi_document("1")
    assert [error.message for error in validator.iter_errors(document)] == []
    del document["operations"]["announceUpload"]["action"]
    assert list(validator.iter_errors(document))
