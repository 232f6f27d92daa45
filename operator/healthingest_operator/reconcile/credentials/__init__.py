"""The Secrets of the user and of the operator, and the rotation of credentials."""
