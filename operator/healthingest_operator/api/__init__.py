"""
The API type `HealthIngest` and everything that follows from it.

`v1alpha1` declares the fields. `healthingest` parses a manifest with them; `schema`, `crd` and
`reference` generate the CustomResourceDefinition and the field tables of the documentation.

No I/O apart from `generate`, no framework apart from pydantic.
"""
