"""What asgi_tasks.server leans on in Daphne and Twisted: a release that changes it fails here."""
# ruff: noqa: N802 - Twisted's names

import asyncio
import inspect
import time
import weakref
from argparse import ArgumentParser

import daphne.cli
import daphne.server
import pytest
from daphne.http_protocol import HTTPFactory, WebRequest
from daphne.ws_protocol import WebSocketProtocol
from twisted.internet import reactor
from twisted.internet.abstract import FileDescriptor
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web import http

from asgi_tasks.server.__main__ import CommandLineInterface
from asgi_tasks.server.channel import QUIET, UNREAD, Channel, Request, Writing
from asgi_tasks.server.server import BODIES_BYTES, DRAIN, EXIT, HURRIED, LIMITS, Server

OVERRIDDEN = {
    (Channel, http.HTTPChannel): "connectionMade getHost connectionLost dataReceived "
    "allHeadersReceived allContentReceived checkPersistence requestDone",
    (Request, WebRequest): "process handleContentChunk",
    (Server, daphne.server.Server): "run listen_success create_application kill_all_applications",
    (CommandLineInterface, daphne.cli.CommandLineInterface): "run load_asgi_app",
}

USED = [
    (http.HTTPChannel, "loseConnection"),
    (http.HTTPChannel, "length"),
    (http.HTTPChannel, "persistent"),
    (HTTPFactory, "protocol"),
    (HTTPFactory, "acceptableProtocols"),
    (HTTPFactory, "log"),
    (HTTPFactory, "timeOut"),
    (WebSocketProtocol, "sendCloseFrame"),
    (WebSocketProtocol, "STATE_OPEN"),
    (daphne.server.Server, "handle_reply"),
    (daphne.cli.CommandLineInterface, "server_class"),
    (daphne.cli.CommandLineInterface, "description"),
]

CHUNKS = b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"


def named(one):
    return getattr(one, "__name__", one)


@pytest.mark.parametrize(
    ("ours", "theirs", "name"),
    [(*pair, name) for pair, names in OVERRIDDEN.items() for name in names.split()],
    ids=named,
)
def test_what_is_overridden_is_there_and_takes_the_same(ours, theirs, name):
    assert issubclass(ours, theirs)
    overridden = inspect.signature(getattr(theirs, name))
    assert [*inspect.signature(getattr(ours, name)).parameters] == [*overridden.parameters]


@pytest.mark.parametrize(("owner", "name"), USED, ids=named)
def test_what_is_used_is_there(owner, name):
    assert hasattr(owner, name)


def test_daphne_runs_what_the_server_relies_on():
    names = {*daphne.server.Server.run.__code__.co_names}
    assert {"connections", "http_factory", "ws_factory", "listen_success", "listen_error"} <= names
    assert {"kill_all_applications", "abort_start", "signal_handlers"} <= names
    names = {*daphne.cli.CommandLineInterface.run.__code__.co_names}
    assert {"server_class", "load_asgi_app", "parser"} <= names
    assert isinstance(reactor._asyncioEventloop, asyncio.AbstractEventLoop)


def test_twisted_parses_forms_unless_told_otherwise():
    assert "parsePOSTFormSubmission" in inspect.signature(http.Request.__init__).parameters


class Owner:
    """The server as Daphne's requests see it."""

    proxy_forwarded_address_header = None
    server_name = root_path = ""

    def __init__(self):
        self.protocols = []

    def protocol_connected(self, protocol):
        self.protocols.append(protocol)

    def protocol_disconnected(self, protocol):
        self.protocols.remove(protocol)


class OurOwner(Owner):
    """The same of ours."""

    held, is_draining = 0, False

    def __init__(self):
        super().__init__()
        self.channels = set()

    def limits(self, uri):
        return LIMITS

    def forget(self, channel):
        self.channels.discard(channel)


class Watched(http.HTTPChannel):
    """Twisted's channel, which says when it is called and what is known then."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def allHeadersReceived(self):
        content = self.requests[-1].content
        self.calls.append(("head", self._path, self.length, self._handlingRequest, content))
        super().allHeadersReceived()

    def rawDataReceived(self, data):
        self.calls.append(("data", self._handlingRequest))
        super().rawDataReceived(data)

    def allContentReceived(self):
        self.calls.append(("whole", self._handlingRequest))
        super().allContentReceived()

    def checkPersistence(self, request, version):
        self.calls.append(("persistence",))
        return super().checkPersistence(request, version)

    def requestDone(self, request):
        self.calls.append(("done", self._handlingRequest, self.requests == [request]))
        super().requestDone(request)


class Answered(WebRequest):
    """Daphne's request, answered at once."""

    def process(self):
        self.content.seek(0)
        self.channel.calls.append(("process", self.content.read(), self._response_started))
        self.basic_error(400, b"Bad Request", "")


@pytest.fixture
def connect():
    """connect(protocol) is a connection that Daphne's factory made, and its transport."""
    channels = []

    def connect(protocol, owner=Owner, **settings):
        factory = HTTPFactory(owner())
        factory.protocol = protocol
        vars(factory).update(settings)
        channel = factory.buildProtocol(None)
        channels.append(channel)
        transport = StringTransport()
        channel.makeConnection(transport)
        return channel, transport

    yield connect
    for channel in channels:
        channel.connectionLost(Failure(ConnectionDone()))


@pytest.mark.parametrize(
    ("headers", "length", "data"),
    [(b"Content-Length: 5", 5, b"hello"), (b"Transfer-Encoding: chunked", None, CHUNKS)],
    ids=["length", "chunked"],
)
def test_twisted_tells_of_a_request_in_this_order(connect, headers, length, data):
    channel, transport = connect(Watched)
    channel.requestFactory = Answered
    channel.dataReceived(b"POST /a?b HTTP/1.1\r\n" + headers + b"\r\n\r\n")
    head = [("head", b"/a?b", length, False, None), ("persistence",)]
    assert channel.calls == head
    channel.dataReceived(data)
    assert channel.calls[2:] == [
        ("data", False),
        ("whole", False),
        ("process", b"hello", False),
        ("done", True, True),
    ]
    assert channel._handlingRequest is False
    assert transport.value().startswith(b"HTTP/1.1 400 ")


def test_twisted_keeps_what_comes_while_a_request_is_answered(connect):
    channel, _ = connect(Watched)
    channel.requestFactory = type("Pending", (WebRequest,), {"process": lambda self: None})
    channel.dataReceived(b"GET / HTTP/1.1\r\n\r\nGET /next HTTP/1.1\r\n\r\n")
    assert [call[0] for call in channel.calls] == ["head", "persistence", "whole", "data"]
    assert channel._handlingRequest is True
    channel.requests[0].basic_error(400, b"Bad Request", "")
    assert [call[0] for call in channel.calls[4:]] == ["done", "head", "persistence", "whole"]
    assert channel.calls[5][1] == b"/next"


def test_connection_is_closed_when_it_is_quiet_for_a_minute_and_not_while_a_request_runs(connect):
    channel, transport = connect(Channel, OurOwner, timeOut=None)
    channel.requestFactory = type("Pending", (WebRequest,), {"process": lambda self: None})
    channel.check_deadline(time.monotonic() + QUIET - 1)
    channel.dataReceived(b"GET / HTTP/1.1\r\n\r\n")
    channel.check_deadline(time.monotonic() + 10 * QUIET)
    channel.requests[0].setResponseCode(204)
    channel.requests[0].finish()
    assert transport.value().startswith(b"HTTP/1.1 204 ")
    channel.check_deadline(time.monotonic() + QUIET - 1)
    assert not transport.disconnecting
    channel.check_deadline(time.monotonic() + QUIET)
    assert transport.disconnecting


def test_quiet_connection_that_does_not_end_is_cut_off(connect):
    channel, transport = connect(Channel, OurOwner, timeOut=None)
    quiet = time.monotonic() + QUIET
    channel.check_deadline(quiet)
    assert not transport.disconnected
    channel.check_deadline(quiet + UNREAD)
    assert transport.disconnected


def test_head_that_begins_after_a_long_silence_has_its_own_time(connect):
    channel, transport = connect(Channel, OurOwner, timeOut=None)
    channel._quiet_since -= QUIET - 1
    channel.dataReceived(b"GET / HT")
    channel.check_deadline(time.monotonic() + 2)
    assert not transport.disconnecting


def test_request_that_came_with_another_is_not_quiet(connect):
    channel, transport = connect(Channel, OurOwner, timeOut=None)
    answered = [True, False]

    def process(request):
        if answered.pop(0):
            request.setResponseCode(204)
            request.finish()

    channel.requestFactory = type("Sometimes", (WebRequest,), {"process": process})
    channel.dataReceived(b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n")
    assert not answered
    channel.check_deadline(time.monotonic() + 10 * QUIET)
    assert not transport.disconnecting


class Connected(FileDescriptor):
    """A transport that is about to be written to."""

    connected = True

    def __init__(self, do_write=bool):
        super().__init__(reactor)
        self.doWrite = do_write
        self.aborted = False
        Writing(self)

    def abortConnection(self):
        self.aborted = True


async def test_connection_that_cannot_be_written_to_ends(caplog):
    transport = Connected(do_write=lambda: 1 // 0)
    transport.write(b"x")
    await asyncio.sleep(0)
    assert transport.aborted
    assert "could not be written to" in caplog.text


async def test_what_was_not_sent_goes_with_its_connection():
    transport = Connected()
    transport.write(b"x")
    await asyncio.sleep(0)
    gone = weakref.ref(transport)
    del transport
    assert gone() is None


def test_twisted_sets_no_timer_where_a_factory_has_no_time_out(connect):
    for time_out, count in [(None, 0), (60, 1)]:
        before = len(reactor.getDelayedCalls())
        connect(http.HTTPChannel, timeOut=time_out)
        assert len(reactor.getDelayedCalls()) == before + count


def test_daphne_tells_the_server_of_each_request_as_it_begins(connect):
    channel, _ = connect(http.HTTPChannel)
    channel.dataReceived(b"POST / HTTP/1.1\r\n")
    (request,) = channel.factory.server.protocols
    assert isinstance(request, WebRequest)
    assert request.channel is channel
    assert request._response_started is False


async def test_daphne_keeps_the_task_of_each_request():
    asked = []

    async def application(scope, receive, send):
        asked.append(scope["type"])

    server = daphne.server.Server(None, ["tcp:0"])
    server.connections = {}
    server.protocol_connected("protocol")
    server.application = application  # looked up now, so it may be replaced
    assert isinstance(server.create_application("protocol", {"type": "http"}), asyncio.Queue)
    await server.connections["protocol"]["application_instance"]
    assert asked == ["http"]


async def test_an_answered_request_is_forgotten_at_once():
    assert "answered" not in await _after_an_application("answered")


async def test_a_request_whose_application_raised_is_left_to_daphne_which_tells_of_it():
    kept = (await _after_an_application("raised"))["raised"]
    with pytest.raises(ZeroDivisionError):
        kept["application_instance"].result()


async def test_a_request_not_answered_yet_is_kept():
    assert "open" in await _after_an_application("open")


async def _after_an_application(end):
    """The server's connections once an application has come to this end."""
    server = Server(None, ["tcp:0"])
    server.connections = {}
    server.protocol_connected(end)

    async def application(scope, receive, send):
        if end != "open":
            server.protocol_disconnected(end)  # what the end of an answer does
        if end == "raised":
            raise ZeroDivisionError

    server.application = application
    with server._woken, server._waking:
        server.create_application(end, {"type": "http"})
        task = server.connections[end]["application_instance"]
        await asyncio.wait([task])
        await asyncio.sleep(0)
    return server.connections


async def test_daphne_hands_on_what_is_answered_unless_the_client_left():
    replies = []
    protocol = type("Protocol", (), {"handle_reply": staticmethod(replies.append)})()
    server = daphne.server.Server(None, ["tcp:0"])
    server.connections = {}
    server.protocol_connected(protocol)
    await server.handle_reply(protocol, {"type": "a"})
    server.protocol_disconnected(protocol)
    await server.handle_reply(protocol, {"type": "b"})
    assert replies == [{"type": "a"}]


def test_every_option_of_daphne_is_taken():
    theirs, ours = daphne.cli.CommandLineInterface().parser, CommandLineInterface().parser
    assert isinstance(theirs, ArgumentParser)
    assert {*theirs._option_string_actions} <= {*ours._option_string_actions}
    arguments = "-b ::1 -p 1 -u s --fd 3 -e tcp:1 -e tcp:2 -v 2 -t 3 --access-log - --root-path /r"
    arguments += " --proxy-headers --proxy-headers-host X --no-server-name --log-fmt x m:app"
    options = vars(ours.parse_args(arguments.split()))
    assert options.items() >= vars(theirs.parse_args(arguments.split())).items()
    assert (options["max_body_bytes"], options["body_timeout"]) == LIMITS
    assert options["max_bodies_bytes"] == BODIES_BYTES


def test_help_names_the_command_and_the_limits():
    text = " ".join(CommandLineInterface().parser.format_help().split())
    assert text.startswith("usage: python -m asgi_tasks.server ")
    assert "--max-body-bytes MAX_BODY_BYTES the largest body of a request that is no push" in text
    assert "(33554432)" in text
    assert "of more than 64 KiB may hold together (134217728)" in text
    assert "--body-timeout BODY_TIMEOUT seconds in which such a body has to arrive (60)" in text


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("--max-body-bytes", ["0", "-1", "x", "1.5", "1e3", "", "²"]),
        ("--max-bodies-bytes", ["0"]),
        ("--body-timeout", ["0", "-1", "x", "nan", "inf", "-inf", ""]),
    ],
)
def test_impossible_limit_is_refused(option, values, capsys):
    for value in values:
        with pytest.raises(SystemExit) as caught:
            CommandLineInterface().parser.parse_args([f"{option}={value}", "m:app"])
        assert caught.value.code == 2
        last = capsys.readouterr().err.splitlines()[-1]
        assert f"error: argument {option}: {value!r} is not a number of " in last


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("nowhere.asgi:application", "there is no module 'nowhere'"),
        ("tests.nowhere:application", "there is no module 'tests.nowhere'"),
        ("tests.site.asgi:nothing", "the module 'tests.site.asgi' has no 'nothing'"),
        ("tests.site.asgi", "'tests.site.asgi' is not like 'mysite.asgi:application'"),
        (":application", "':application' is not like 'mysite.asgi:application'"),
    ],
)
def test_application_that_is_not_there_is_one_line(path, reason):
    with pytest.raises(SystemExit) as caught:
        CommandLineInterface().load_asgi_app(path)
    assert caught.value.code == f"python -m asgi_tasks.server: error: {reason}"


def test_application_that_cannot_be_imported_says_why(tmp_path, monkeypatch):
    (tmp_path / "broken_asgi.py").write_text("import nowhere_at_all")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="nowhere_at_all"):
        CommandLineInterface().load_asgi_app("broken_asgi:application")


def test_application_with_wrong_options_is_one_line(tmp_path, monkeypatch):
    code = """
from django.core.exceptions import ImproperlyConfigured
raise ImproperlyConfigured("The option 'project_id' is missing.")
"""
    (tmp_path / "wrong_asgi.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SystemExit) as caught:
        CommandLineInterface().load_asgi_app("wrong_asgi:application")
    error = "python -m asgi_tasks.server: error: The option 'project_id' is missing."
    assert caught.value.code == error


def test_process_is_gone_within_nine_and_a_half_seconds():
    assert DRAIN == 8
    assert DRAIN < EXIT < 9.5


def test_second_signal_ends_it_at_once():
    assert HURRIED <= 0.5
