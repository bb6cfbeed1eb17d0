"""One push: an HTTP request as Google makes it, and what became of it."""

import io
from typing import Final

import aiohttp

from asgi_tasks.emulator.broker.model import Lease, PushTarget, Subscription
from asgi_tasks.emulator.push.body import wrapped
from asgi_tasks.emulator.push.tokens import TokenMint

MAX_ANSWER_BYTES: Final = 65_536
# Larger bytes would be written in one piece, and stop the loop meanwhile.
MAX_AT_ONCE: Final = 65_536

type Answer = tuple[int | None, str | None]  # the status, or why there was none


class Sender:
    def __init__(self, mint: TokenMint) -> None:
        self._mint = mint
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )

    async def aclose(self) -> None:
        await self._session.close()

    async def post(
        self, subscription: Subscription, lease: Lease, *, seconds: float | None = None
    ) -> Answer:
        """Send it and wait for the answer, for so many seconds or the ack deadline."""
        patience = seconds or subscription.ack_deadline
        if subscription.push is None:
            return None, "the subscription is not pushed any more"
        try:
            async with self._session.post(
                subscription.push.endpoint,
                data=_payload(wrapped(subscription, lease)),
                headers=self._headers(subscription.push),
                timeout=aiohttp.ClientTimeout(total=patience),
                allow_redirects=False,
            ) as response:
                await _read(response.content)
                return response.status, None
        except TimeoutError:
            return None, f"no answer within {patience:g} s"
        except OSError as error:
            return None, f"{type(error).__name__}: {error}"[:200]
        except Exception as error:  # however an endpoint fails, it is a nack
            # Its own words stay out: it may send back what it was sent, the token too.
            return None, type(error).__name__

    def _headers(self, target: PushTarget) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "User-Agent": "asgi-tasks-emulator"}
        if target.service_account:
            token = self._mint.token(
                service_account=target.service_account,
                audience=target.audience or target.endpoint,
            )
            headers["Authorization"] = f"Bearer {token}"
        return headers


async def _read(answer: aiohttp.StreamReader) -> None:
    """To its end, so that the connection can be used again, unless there is too much of it."""
    left = MAX_ANSWER_BYTES
    while left > 0 and (chunk := await answer.read(left)):
        left -= len(chunk)


def _payload(body: bytes) -> bytes | io.BytesIO:
    return body if len(body) <= MAX_AT_ONCE else io.BytesIO(body)
