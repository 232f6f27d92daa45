"""
The command `healthingest` and the Python client of the upload API.

The package imports contract and gate, but neither service nor operator.
"""
