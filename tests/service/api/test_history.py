from uuid import uuid4

from support.edge import Edge
from support.samples import good_file


async def test_lists_ones_own_newest_first(edge: Edge) -> None:
    """Pages follow each other by their cursor until there is none."""
    user = await edge.signed_in()
    ids = [(await edge.upload(good_file(count), user)).json()["upload_id"] for count in (1, 2, 3)]
    first = (await edge.http.get("/v1/uploads", params={"limit": 2}, headers=user)).json()
    second = (
        await edge.http.get(
            "/v1/uploads", params={"limit": 2, "cursor": first["next_cursor"]}, headers=user
        )
    ).json()
    assert [one["upload_id"] for one in first["uploads"] + second["uploads"]] == ids[::-1]
    assert second["next_cursor"] is None


async def test_filters(edge: Edge) -> None:
    """By type and by state; a state that there is not is refused."""
    user = await edge.signed_in()
    receipt = (await edge.upload(good_file(1), user)).json()

    async def found(**query: str) -> int:
        return len(
            (await edge.http.get("/v1/uploads", params=query, headers=user)).json()["uploads"]
        )

    assert await found(record_type=receipt["record_type"], state="stored") == 1
    assert await found(record_type="Other") == 0
    assert await found(state="announced") == 0
    assert (
        await edge.http.get("/v1/uploads", params={"state": "gone"}, headers=user)
    ).status_code == 422


async def test_hides_what_is_anothers(edge: Edge) -> None:
    """Another owner's upload, a missing one and a malformed id get the same answer."""
    owner = await edge.signed_in()
    stranger = await edge.signed_in()
    upload_id = (await edge.upload(good_file(1), owner)).json()["upload_id"]
    answers = [
        await edge.http.get(
            f"/v1/uploads/{one}", headers=stranger | {"X-Correlation-ID": "same-for-all"}
        )
        for one in (upload_id, uuid4(), "no-id")
    ]
    assert {(answer.status_code, answer.text) for answer in answers} == {(404, answers[0].text)}
    assert (await edge.http.get(f"/v1/uploads/{upload_id}", headers=owner)).json()[
        "state"
    ] == "stored"
    assert (await edge.http.get("/v1/uploads", headers=stranger)).json() == {
        "uploads": [],
        "next_cursor": None,
    }


async def test_refuses_a_cursor_that_is_not_ours(edge: Edge) -> None:
    """A made-up cursor is the client's mistake, not ours."""
    answer = await edge.http.get(
        "/v1/uploads", params={"cursor": "made-up"}, headers=await edge.signed_in()
    )
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (400, "invalid-cursor")
