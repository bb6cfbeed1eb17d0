"""The live page: a few files of this package, read once."""

from importlib.resources import files
from typing import Final

from aiohttp import web

# No modules: with those browsers send an Origin, and the emulator refuses whoever has one.
FILES: Final = {
    "/": ("page.html", "text/html"),
    "/emulator/page.css": ("page.css", "text/css"),
    "/emulator/page.js": ("page.js", "text/javascript"),
    "/emulator/rows.js": ("rows.js", "text/javascript"),
    "/emulator/table.js": ("table.js", "text/javascript"),
    "/emulator/words.js": ("words.js", "text/javascript"),
}
# Publishers choose much of what the page shows: nothing of it may become markup or run.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Page:
    def __init__(self) -> None:
        folder = files(__package__)
        self._files = {
            path: ((folder / name).read_bytes(), content_type)
            for path, (name, content_type) in FILES.items()
        }

    def add_routes(self, app: web.Application) -> None:
        for path in self._files:
            app.router.add_get(path, self.file)

    async def file(self, request: web.Request) -> web.Response:
        body, content_type = self._files[request.path]
        return web.Response(body=body, content_type=content_type, charset="utf-8", headers=HEADERS)
