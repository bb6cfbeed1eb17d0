"""The emulator's REST controls, by the standard library alone."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from .errors import EmulatorError
from .records import Message, message_from

ANSWER_TIMEOUT: Final = 30  # seconds for one request; the emulator answers within milliseconds


class Rest:
    """Requests to one emulator. ``log`` gives what it has written, to be shown when it fails."""

    def __init__(self, host: str, log: Callable[[], str]) -> None:
        self._host = host
        self._log = log

    def get(self, path: str, **query: str) -> Any:
        """What is there. Raise EmulatorError."""
        from urllib.parse import urlencode

        return self._request("GET", f"{path}?{urlencode(query)}" if query else path)

    def post(self, path: str, **body: Any) -> Any:
        """See get()."""
        return self._request("POST", path, body)

    def delete(self, path: str) -> Any:
        """See get()."""
        return self._request("DELETE", path)

    def messages(self, **query: str) -> list[Message]:
        """What the emulator remembers, oldest first. Raise EmulatorError."""
        return [message_from(one) for one in self.get("/emulator/messages", **query)["messages"]]

    def push_endpoints(self) -> dict[str, str | None]:
        """Where each subscription is pushed to; None: it is pulled. Raise EmulatorError."""
        found = self.get("/emulator/status")["subscriptions"]
        return {one["name"]: one["push_endpoint"] for one in found}

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        from http.client import HTTPConnection, HTTPException

        connection = HTTPConnection(self._host, timeout=ANSWER_TIMEOUT)
        data = None if body is None else json.dumps(body)
        try:
            connection.request(method, path, data, {"Content-Type": "application/json"})
            response = connection.getresponse()
            status, answer = response.status, response.read()
        except (OSError, HTTPException) as error:
            reason = f"No answer from an emulator at http://{self._host}: {error}"
            raise EmulatorError(reason + self._log()) from error
        finally:
            connection.close()
        if status != 200:
            raise EmulatorError(self._refusal(status, answer))
        return json.loads(answer)

    def _refusal(self, status: int, answer: bytes) -> str:
        try:
            message = str(json.loads(answer)["error"]["message"])
        except (ValueError, KeyError, TypeError):
            return f"http://{self._host} answered with {status}: no emulator of asgi_tasks is there"
        return message if status < 500 else message + self._log()
