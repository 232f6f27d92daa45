from healthingest_service.identity import refresh_tokens


def test_a_child_follows_from_parent_and_salt() -> None:
    """
    The same two give the same child, another salt or parent another one.

    Neither shows in the stored hash.
    """
    parent = refresh_tokens.new_token()
    salt = refresh_tokens.new_salt()
    child = refresh_tokens.child_of(parent, salt)
    assert child == refresh_tokens.child_of(parent, salt)
    assert len({child, parent, refresh_tokens.child_of(parent, refresh_tokens.new_salt())}) == 3
    assert refresh_tokens.child_of(refresh_tokens.new_token(), salt) != child
    assert len(refresh_tokens.token_hash(child)) == 64


def test_tokens_have_256_bits() -> None:
    """43 characters of base64 each, shorter than what is still looked at, and never twice."""
    made = {refresh_tokens.new_token() for _ in range(100)}
    assert len(made) == 100
    assert {len(one) for one in made} == {43}
    assert refresh_tokens.MAX_CHARACTERS > 43
