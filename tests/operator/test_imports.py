"""What the operator's process imports, and so keeps in memory."""

import subprocess
import sys


def test_the_kubernetes_client_is_not_imported() -> None:
    """
    It would take a sixth of the operator's memory, and a second of each start.

    kopf imports it if it is installed, and jsonschema with it: docs/decisions/0085.
    """
    program = "import sys, healthingest_operator.main; print(*sys.modules)"
    found = subprocess.check_output([sys.executable, "-c", program], text=True).split()
    assert "kopf" in found
    assert {"kubernetes", "kubernetes_asyncio", "pykube", "requests", "jsonschema"} & {
        *found
    } == set()
