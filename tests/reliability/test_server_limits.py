"""What clients may send, said over raw connections to a real server."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys

import pytest

from asgi_tasks.conf import parse_options
from tests.processes import running

from .served.settings import TASKS
from .serving import LONG, PUSH_PATH, SETTINGS, UPGRADE, push_headers, push_of, serving

CAP, BODY_TIMEOUT = 200_000, 2
PUSH_CAP = parse_options(TASKS["default"]["OPTIONS"]).max_body_bytes
MEGABYTE = b"x" * 1_000_000
CHUNKED = "Transfer-Encoding: chunked"

both = pytest.mark.parametrize(
    ("path", "cap", "status"),
    [("/form/", CAP, 200), (PUSH_PATH, PUSH_CAP, 401)],
    ids=["page", "push"],
)


@pytest.fixture(scope="module")
def served(certificates, tmp_path_factory):
    """The site with small limits."""
    limits = ("--max-body-bytes", CAP, "--body-timeout", BODY_TIMEOUT)
    folder = tmp_path_factory.mktemp("served")
    with serving(folder, *limits, TESTS_CERTS_URL=certificates.url) as served:
        yield served


@pytest.fixture
def connection(served):
    with served.connect() as connection:
        yield connection


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST = chunk(b"")


def assert_refused(answer, status):
    assert answer.status == status
    assert "\r\nConnection: close\r\n" in answer.head
    assert answer.body == b""


@both
@pytest.mark.parametrize("expect", [(), ("Expect: 100-continue",)], ids=["sent", "asked"])
def test_body_that_says_it_is_too_large_is_refused_at_once(connection, path, cap, status, expect):
    connection.post(path, f"Content-Length: {cap + 1}", *expect)
    assert_refused(connection.answer(), 413)


def test_client_that_asks_may_send_a_body_within_the_limit(connection):
    connection.post("/form/", f"Content-Length: {CAP}", "Expect: 100-continue")
    assert connection.status() == 100
    connection.send(b"x" * CAP)
    assert connection.status() == 200


@both
def test_chunked_body_that_grows_too_large_is_refused(served, connection, path, cap, status):
    connection.post(path, CHUNKED)
    connection.send(chunk(b"x" * cap))
    connection.send(chunk(b"x") + LAST + b"GET /path/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert_refused(connection.answer(), 413)
    assert connection.is_ended()


@both
def test_body_of_exactly_the_limit_is_handed_on(connection, path, cap, status):
    connection.post(path, body=b"x" * cap)
    assert connection.status() == status
    connection.post(path, CHUNKED)
    connection.send(chunk(b"x" * (cap - 10)) + chunk(b"x" * 10) + LAST)
    assert connection.status() == status


@pytest.mark.parametrize(
    "headers", [["Content-Length: 100000000"], [CHUNKED]], ids=["length", "chunked"]
)
def test_100_megabytes_sent_anyway_are_not_kept(served, headers):
    with served.connect() as connection:
        connection.get("/path/")
        assert connection.status() == 200
    before, most_spooled = served.peak_megabytes, 0
    with served.connect() as connection, contextlib.suppress(ConnectionError):  # it hangs up
        connection.post("/form/", *headers, body=None)
        for _ in range(100):
            connection.send(chunk(MEGABYTE) if headers == [CHUNKED] else MEGABYTE)
            most_spooled = max(most_spooled, *served.spooled(), 0)
    assert served.peak_megabytes - before < 10
    assert most_spooled <= CAP


async def trickle(served, start, drip=b"", every=0.2):
    """The status of a request that is sent in drops, and when it came."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(start)

    async def keep_on():
        while drip:
            await asyncio.sleep(every)
            writer.write(drip)

    dripping = asyncio.create_task(keep_on())
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), LONG)
    elapsed = asyncio.get_running_loop().time()
    dripping.cancel()
    writer.close()
    return int(head.split()[1]), elapsed


async def test_slow_clients_are_given_up_and_quiet_ones_are_not(served):
    host = b"HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    quiet = contextlib.ExitStack()
    with quiet:
        fresh, idle = (quiet.enter_context(served.connect()) for _ in range(2))
        idle.get("/path/")
        assert idle.status() == 200
        answers = await asyncio.gather(
            trickle(served, b"POST /form/ " + host + b"Content-Length: 1000\r\n\r\n", b"x"),
            trickle(
                served, b"POST /form/ " + host + b"Transfer-Encoding: chunked\r\n\r\n", chunk(b"x")
            ),
            trickle(served, b"GET /slow/?seconds=4 " + host + b"\r\n"),
            trickle(served, b"GET /", b"x"),
            trickle(served, b"GET / HTTP/1.1\r\nHost: ", b"x"),
            trickle(served, b"GET / HTTP/1.1\r\n", b"X-A: x\r\n"),
            trickle(
                served,
                b"POST " + PUSH_PATH.encode() + b" " + host + b"Content-Length: 1000\r\n\r\n",
                b"x",
            ),
        )
        statuses, times = zip(*answers, strict=True)
        assert statuses == (408, 408, 200, 408, 408, 408, 408)
        # A page's body has --body-timeout; heads and pushes have ten seconds.
        assert max(times[:2]) < min(times[2:])
        assert max(times[:3]) < min(times[3:])
        for connection in (fresh, idle):
            connection.get("/path/")
            assert connection.status() == 200


def test_what_a_refused_request_sent_is_dropped_at_once(served, connection):
    connection.post("/form/", CHUNKED)
    connection.send(chunk(b"x" * CAP) + chunk(b"x"))
    assert_refused(connection.answer(), 413)
    assert not served.spooled()


def test_refused_client_is_not_heard_again(connection):
    connection.post("/form/", CHUNKED)
    connection.send(chunk(b"x" * CAP) + chunk(b"x"))
    assert_refused(connection.answer(), 413)
    connection.send(b"zz\r\n")  # no chunk: else it would be told so
    assert connection.is_ended()


def test_requests_sent_at_once_are_answered_in_order(connection):
    body = b"a=1"
    post = b"POST /form/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\n"
    post += b"Content-Type: application/x-www-form-urlencoded\r\n\r\n" + body
    get = b"GET /path/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    large = b"POST /form/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 999999\r\n\r\n"
    connection.send(post + get + large + get)
    first, second, third = (connection.answer() for _ in range(3))
    assert json.loads(first.body) == {"fields": {"a": "1"}, "files": {}}
    assert json.loads(second.body)["path"] == "/path/"
    assert_refused(third, 413)


def test_answer_that_no_socket_takes_at_once_arrives_whole(served, connection):
    served.open_gate()
    for _ in range(2):
        connection.get("/large/")
        assert connection.answer().body == b"x" * 20_000_000


def test_bad_chunk_is_refused(connection):
    connection.post("/form/", CHUNKED)
    connection.send(b"zz\r\nhello\r\n")
    assert connection.status() == 400
    assert connection.is_ended()


def test_client_that_leaves_midway_leaves_nothing_behind(served):
    before = len(served.open_files())
    for headers in ([CHUNKED], [f"Content-Length: {CAP}"]) * 10:
        with served.connect() as connection:
            connection.post("/form/", *headers, body=None)
            connection.send(chunk(b"x" * 150_000) if headers == [CHUNKED] else b"x" * 150_000)
    served.wait_until(lambda: len(served.open_files()) <= before)


@pytest.mark.parametrize(
    "headers",
    [["Daphne-Root-Path: /x"], ["Daphne-Root-Path: \xff%ff"], ["daphne-root-path: /x"] * 2, []],
    ids=["good", "bytes", "twice", "none"],
)
def test_client_cannot_move_the_site(connection, headers):
    connection.get("/path/", *headers)
    assert json.loads(connection.answer().body) == {"path": "/path/", "prefix": ""}
    connection.get("/x/path/", *headers)
    assert connection.status() == 404


def test_operator_can_move_the_site(tmp_path):
    with serving(tmp_path, "--root-path", "/x") as served, served.connect() as connection:
        connection.get("/x/path/", "Daphne-Root-Path: /y")
        assert json.loads(connection.answer().body) == {"path": "/x/path/", "prefix": "/x"}


def test_websocket_is_refused_where_there_is_only_django(tmp_path):
    with serving(tmp_path, application="tests.site.asgi:application") as served:
        for headers in (UPGRADE, UPGRADE[:1], [*UPGRADE, "Sec-WebSocket-Protocol: \xff"]):
            with served.connect() as connection:
                connection.get("/anything/", *headers)
                assert connection.status() == (403 if headers == UPGRADE else 400)


def test_subprotocol_that_is_not_ascii_is_refused(connection):
    connection.get("/", *UPGRADE, "Sec-WebSocket-Protocol: \xff")
    assert_refused(connection.answer(), 400)


def test_connection_that_became_a_websocket_is_forgotten(served, connection):
    def count():
        connection.get("/channels/")
        return json.loads(connection.answer().body)["count"]

    for _ in range(50):
        with served.connect() as upgraded:
            upgraded.get("/", *UPGRADE)
            assert upgraded.status() == 101
    served.wait_until(lambda: count() < 25)


def test_answer_that_fails_midway_is_broken_off(tmp_path):
    with serving(tmp_path) as served:
        for _ in range(2):  # the second needs what the first might have ended
            with served.connect() as connection:
                connection.get("/fail-midway/")
                assert b"the beginning" in connection.read_to_the_end()
        assert "ValueError: midway" in served.process.output
        served.process.output = ""  # the site's own error


@pytest.mark.parametrize("path", [PUSH_PATH, PUSH_PATH.replace("s", "%73")])
def test_push_s_limit_holds_however_its_path_is_written(connection, path):
    connection.post(path, f"Content-Length: {PUSH_CAP + 1}")
    assert_refused(connection.answer(), 413)


def test_forms_are_parsed_by_django(connection):
    kind = "Content-Type: application/x-www-form-urlencoded"
    connection.post("/form/", kind, body=b"name=Grim&gang=7&name=Vex")
    assert json.loads(connection.answer().body)["fields"] == {"name": "Vex", "gang": "7"}


def test_form_that_no_view_reads_is_not_parsed(connection):
    connection.post("/nowhere/", "Content-Type: multipart/form-data", body=b"not a form")
    assert connection.status() == 404


def test_files_are_uploaded(connection):
    parts = [
        b'--XX\r\nContent-Disposition: form-data; name="name"\r\n\r\nGrim\r\n',
        b'--XX\r\nContent-Disposition: form-data; name="sheet"; filename="a.pdf"\r\n\r\n',
        b"\x00\xff" * 75_000 + b"\r\n--XX--\r\n",
    ]
    connection.post(
        "/form/", "Content-Type: multipart/form-data; boundary=XX", body=b"".join(parts)
    )
    answer = json.loads(connection.answer().body)
    assert answer == {"fields": {"name": "Grim"}, "files": {"sheet": 150_000}}


def test_large_bodies_together_are_bounded(tmp_path):
    with (
        serving(tmp_path, "--max-bodies-bytes", 2_000_000) as served,
        served.connect() as first,
        served.connect() as second,
    ):
        first.post("/form/", "Content-Length: 1500000", body=None)
        first.send(MEGABYTE)
        served.wait_until(lambda: served.spooled() == [1_000_000])
        second.post("/form/", "Content-Length: 1500000", body=None)
        second.send(MEGABYTE * 2)
        assert_refused(second.answer(), 503)
        first.send(b"x" * 500_000)  # the other has given back what it held
        assert first.status() == 200
        first.post("/form/", body=MEGABYTE + MEGABYTE[:500_000])  # and so has the answered one
        assert first.status() == 200
        with served.connect() as gone:
            gone.post("/form/", "Content-Length: 1500000", body=None)
            gone.send(MEGABYTE)
            served.wait_until(lambda: served.spooled() == [1_000_000])
        served.wait_until(lambda: not served.spooled())
        first.post("/form/", body=MEGABYTE + MEGABYTE[:500_000])
        assert first.status() == 200
        with served.connect() as upgraded:
            upgraded.post("/", *UPGRADE, body=MEGABYTE)
            assert upgraded.status() in (101, 400, 403, 405)
        first.post("/form/", body=MEGABYTE + MEGABYTE[:500_000])
        assert first.status() == 200


def test_small_bodies_are_taken_whatever_the_large_ones_hold(certificates, signer, tmp_path):
    with (
        serving(tmp_path, "--max-bodies-bytes", 1, TESTS_CERTS_URL=certificates.url) as served,
        served.connect() as connection,
    ):
        connection.post(PUSH_PATH, *push_headers(served, signer), body=push_of("spin", 1))
        assert connection.status() == 204
        connection.post("/form/", body=b"x" * 65_536)
        assert connection.status() == 200
        connection.post("/form/", body=b"x" * 65_537)
        assert_refused(connection.answer(), 503)


def test_burst_of_connections_is_queued_while_the_loop_is_busy(served):
    os.kill(served.process.pid, signal.SIGSTOP)
    try:
        with contextlib.ExitStack() as stack:
            for _ in range(300):
                stack.enter_context(
                    socket.create_connection(("127.0.0.1", served.port), timeout=LONG)
                )
    finally:
        os.kill(served.process.pid, signal.SIGCONT)


def test_what_is_not_asked_for_is_not_said(served, connection):
    connection.get("/path/")
    assert "\r\nServer:" not in connection.answer().head
    assert '"GET /path/' not in served.process.output


def test_access_is_logged_if_asked_for(tmp_path):
    log = tmp_path / "access.log"
    with serving(tmp_path, "--access-log", log) as served, served.connect() as connection:
        connection.get("/path/")
        assert connection.status() == 200
        assert '"GET /path/" 200' in log.read_text()


def test_unix_socket_is_served_and_removed(tmp_path):
    path = tmp_path / "socket"
    with serving(tmp_path, "--unix-socket", path) as served:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b"GET /path/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200 ")
        assert served.stop()[0] == 0
    assert not path.exists()


def test_taken_port_is_one_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        command = ("-m", "asgi_tasks.server", "-p", port, "tests.site.asgi:application")
        with running(sys.executable, *command, env={"DJANGO_SETTINGS_MODULE": SETTINGS}) as process:
            assert process.wait() == 1
    assert f"Listen failure: Couldn't listen on 127.0.0.1:{port}: " in process.output
    assert "Traceback" not in process.output


def test_site_without_pubsub_is_served(tmp_path):
    local = {"DJANGO_SETTINGS_MODULE": "gyrinx.settings_local", "GYRINX_VAR": str(tmp_path)}
    with (
        serving(tmp_path, application="gyrinx.asgi:application", **local) as served,
        served.connect() as connection,
    ):
        connection.get("/health/live")
        assert connection.status() == 200
        connection.post("/", f"Content-Length: {40 * 2**20}")
        assert_refused(connection.answer(), 413)


def test_stock_daphne_serves_the_same_site(start_site, emulator, tmp_path):
    with start_site(emulator, tmp_path, server="daphne") as site:
        (record,) = site.wait_until_settled(site.enqueue("add", a=1, b=2))
        assert [delivery["status"] for delivery in record["deliveries"]] == [204]
        assert site.effects("add", result=3)
