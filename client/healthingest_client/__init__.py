"""
The `healthingest` command and the Python client.

It knows the contract and the gate, neither half.
"""
