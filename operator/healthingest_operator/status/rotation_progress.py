"""The messages of `SecretsReady` during a rotation, in the order of its phases."""

from typing import Final

INTRODUCED: Final = "broker and database get new credentials; the pods use the old ones"
PROMOTED: Final = "pods get new credentials; old ones are valid until all pods have them"
SIGNING: Final = "the old logins are refused; the pods begin to sign with the new key"
OVERLAPPING: Final = "the new key signs; old tokens and the old consumer are still valid"
