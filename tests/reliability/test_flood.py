"""Two thousand strangers beside normal load."""

import pytest

from .flood import A_SECOND, EXPECTED, STRANGERS, besiege, enough_files
from .serving import push_headers, serving

SECONDS = 15


@pytest.fixture(autouse=True)
def files():
    with enough_files():
        yield


async def test_pushes_are_answered_beside_a_flood(certificates, signer, tmp_path):
    with serving(tmp_path, TESTS_CERTS_URL=certificates.url) as served:
        siege = await besiege(served, push_headers(served, signer), SECONDS)
    print("\n".join(siege.lines()))
    assert {status for status, _ in siege.quiet + siege.flooded} == {204}
    assert len(siege.flooded) == A_SECOND * SECONDS
    assert EXPECTED <= siege.answers.keys() <= EXPECTED | {"503", "closed"}
    assert siege.connections > 0.9 * sum(STRANGERS.values())
    assert siege.megabytes_more < 200
    assert siege.megabytes_in_files < 150  # --max-bodies-bytes
