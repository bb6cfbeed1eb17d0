"""Where the certificates of the tokens are, at Google's own paths."""

from aiohttp import web

from asgi_tasks.emulator.push.keyring import Keyring


class Certificates:
    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/oauth2/v1/certs", self.pem)
        app.router.add_get("/oauth2/v3/certs", self.jwk)

    async def pem(self, request: web.Request) -> web.Response:
        return web.json_response(self._keyring.certificates(), headers=self._headers())

    async def jwk(self, request: web.Request) -> web.Response:
        return web.json_response(self._keyring.key_set(), headers=self._headers())

    def _headers(self) -> dict[str, str]:
        return {"Cache-Control": f"public, max-age={self._keyring.max_age}, must-revalidate"}
