"""The operator removes a signing key only after the last token that it signed has expired."""

from annotated_types import Le

from healthingest_operator.reconcile.credentials.rotation import TOKEN_OVERLAP
from healthingest_service.identity.access_tokens import SigningKeys, new_key_pem
from healthingest_service.settings.groups import IdentitySettings


def test_no_token_may_live_longer_than_its_key() -> None:
    """The longest lifetime that the settings allow, with some leeway, fits into the overlap."""
    bounds = IdentitySettings.model_fields["access_token_seconds"].metadata
    (longest,) = [bound.le for bound in bounds if isinstance(bound, Le)]
    assert isinstance(longest, int)
    assert TOKEN_OVERLAP.total_seconds() >= longest + 30


def test_the_service_reads_the_keys_of_every_phase() -> None:
    """In one text of several keys the first signs, and all verify."""
    old = new_key_pem()
    new = new_key_pem()
    alone = SigningKeys.from_pem(old)
    after = SigningKeys.from_pem(new)
    both = SigningKeys.from_pem(old + new)
    turned = SigningKeys.from_pem(new + old)
    assert both.signing_id == alone.signing_id
    assert turned.signing_id == after.signing_id
    assert set(both.verifying) == set(turned.verifying) == {alone.signing_id, after.signing_id}
