"""Secrets: the user's, the operator's own, and the rotation of the credentials in them."""
