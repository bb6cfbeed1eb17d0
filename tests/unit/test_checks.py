"""Each check by its id, through Django's own `check`."""

import ast
import re
import sys

import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.db import connections

from asgi_tasks import TaskRoute
from asgi_tasks.backends import PubSubBackend
from tests.site import task_routes as site_routes
from tests.site import tasks

BACKEND = "asgi_tasks.backends.PubSubBackend"
IMMEDIATE = {"BACKEND": "django.tasks.backends.immediate.ImmediateBackend"}
LEFT_OUT = object()

task_routes = []  # configure() puts a test's routes here


class OwnBackend(PubSubBackend):
    """What a site may make of PubSubBackend."""


@pytest.fixture
def configure(settings, monkeypatch):
    """configure(*routes, backends={...}, **options) changes the test site's TASKS."""
    correct = settings.TASKS["default"]["OPTIONS"]

    def configure(*routes, backends=None, **options):
        if routes:
            monkeypatch.setattr(sys.modules[__name__], "task_routes", routes)
            options["routes"] = __name__
        raw = {key: value for key, value in (correct | options).items() if value is not LEFT_OUT}
        settings.TASKS = {"default": {"BACKEND": BACKEND, "OPTIONS": raw}, **(backends or {})}

    return configure


def messages(**options):
    """Our own messages of Django's check."""
    found = run_checks(**options)
    return [message for message in found if message.id.startswith("asgi_tasks.")]


def ids(**options):
    return [message.id for message in messages(**options)]


def routes_but(*functions):
    """The test site's routes without those of these tasks."""
    return [route for route in site_routes.task_routes if route.task not in functions]


SIGNED = [*routes_but(tasks.echo), TaskRoute(tasks.echo)]  # routes of a site without W004


def test_correct_site_has_no_message():
    assert messages() == []


def test_site_of_another_backend_has_no_message(settings):
    settings.TASKS = {"default": IMMEDIATE}
    assert messages(include_deployment_checks=True) == []


def test_mistake_ends_the_check_command_with_id_and_hint(configure):
    configure(thread=4)
    with pytest.raises(
        CommandError, match=r"(?s)\(asgi_tasks\.E001\).*HINT: Did you mean 'threads'\?"
    ):
        call_command("check")


def test_unknown_option_is_e001(configure):
    configure(publish_timout=5)
    [message] = messages()
    assert (message.id, message.hint) == ("asgi_tasks.E001", "Did you mean 'publish_timeout'?")


@pytest.mark.parametrize("value", [LEFT_OUT, None, ""], ids=["left out", "None", "empty"])
def test_missing_project_is_e002(configure, value):
    configure(project_id=value)
    assert ids() == ["asgi_tasks.E002"]


@pytest.mark.parametrize("value", [LEFT_OUT, None, ""], ids=["left out", "None", "empty"])
@pytest.mark.parametrize("name", ["routes", "service_url", "push_service_account"])
def test_missing_required_option_is_e003(configure, name, value):
    configure(**{name: value})
    [message] = messages()
    assert (message.id, repr(name) in message.hint) == ("asgi_tasks.E003", True)


def test_invalid_value_is_e004(configure):
    configure(service_url="http://gyrinx.app")
    assert ids() == ["asgi_tasks.E004"]


@pytest.mark.parametrize("path", ["nowhere", "tests.site.nowhere", "tests.site.tasks.nowhere"])
def test_missing_routes_module_is_e005(configure, path):
    configure(routes=path)
    assert ids() == ["asgi_tasks.E005"]


def test_raising_routes_module_is_e005(configure, tmp_path, monkeypatch):
    (tmp_path / "raising_routes.py").write_text("raise RuntimeError('no such table')")
    monkeypatch.syspath_prepend(tmp_path)
    configure(routes="raising_routes")
    [message] = messages()
    assert message.id == "asgi_tasks.E005"
    assert "RuntimeError: no such table" in message.msg


@pytest.mark.parametrize("path", ["tests.site.tasks", "tests.site.tasks.add"])
def test_missing_list_of_routes_is_e006(configure, path):
    configure(routes=path)
    assert ids() == ["asgi_tasks.E006"]


def test_task_in_the_list_instead_of_its_route_is_e006(configure):
    configure(tasks.add)
    assert ids() == ["asgi_tasks.E006"]


@pytest.mark.parametrize(
    "other", [TaskRoute(tasks.fail, name="add"), TaskRoute(tasks.fail, aliases=["add"])]
)
def test_duplicate_name_is_e007(configure, other):
    configure(*routes_but(tasks.fail), other)
    assert ids() == ["asgi_tasks.E007"]


@pytest.mark.parametrize("name", ["ADD", "add_", "dead_letter", "Dead.Letter"])
def test_duplicate_topic_is_e008(configure, name):
    configure(*routes_but(tasks.fail), TaskRoute(tasks.fail, name=name))
    assert ids() == ["asgi_tasks.E008"]


@pytest.mark.parametrize("function", [tasks.add, tasks.add_sync])
def test_task_without_route_is_e009(configure, function):
    configure(*routes_but(function))
    [message] = messages()
    assert (message.id, message.msg) == (
        "asgi_tasks.E009",
        f"tests.site.tasks.{function.name} has no route.",
    )


def test_task_without_route_is_told_the_line_and_where(configure):
    configure(*routes_but(tasks.add))
    [message] = messages()
    assert message.hint == f"Add TaskRoute(add) to `task_routes` in {__name__}."


def test_task_of_another_backend_needs_no_route(configure, monkeypatch):
    configure(*routes_but(tasks.add), backends={"other": IMMEDIATE})
    monkeypatch.setattr(tasks, "add", tasks.add.using(backend="other"))
    assert ids() == []


def test_second_name_of_a_routed_task_needs_no_route(monkeypatch):
    monkeypatch.setattr(tasks, "urgent_add", tasks.add.using(queue_name="default"), raising=False)
    assert ids() == []


def test_task_of_two_names_is_reported_once(configure, monkeypatch):
    configure(*routes_but(tasks.add))
    monkeypatch.setattr(tasks, "urgent_add", tasks.add.using(queue_name="default"), raising=False)
    assert ids() == ["asgi_tasks.E009"]


def test_route_of_another_backends_task_is_e010(configure):
    configure(backends={"other": IMMEDIATE})
    route = TaskRoute(tasks.add.using(backend="other"))
    configure(*routes_but(tasks.add), route, backends={"other": IMMEDIATE})
    assert ids() == ["asgi_tasks.E010"]


@pytest.mark.parametrize("options", [{}, {"routes": "nowhere"}], ids=["right", "wrong"])
@pytest.mark.parametrize("backend", [BACKEND, f"{__name__}.OwnBackend"])
def test_second_alias_is_e011(configure, settings, backend, options):
    second = {"BACKEND": backend, "OPTIONS": settings.TASKS["default"]["OPTIONS"] | options}
    configure(backends={"second": second})
    [message] = [message for message in messages() if message.id == "asgi_tasks.E011"]
    assert message.msg == "TASKS['second'] is a second PubSubBackend, after 'default'."


def test_alias_beside_other_backends_is_no_second(configure):
    configure(backends={"other": IMMEDIATE})
    assert ids() == []


@pytest.mark.parametrize(("name", "prefix"), [("__", "site"), ("x" * 200, "p" * 60)])
def test_unnameable_topic_is_e012(configure, name, prefix):
    route = TaskRoute(tasks.fail, name=name)
    configure(*routes_but(tasks.fail), route, topic_prefix=prefix)
    assert ids() == ["asgi_tasks.E012"]


def test_task_with_two_routes_is_e013(configure):
    configure(*site_routes.task_routes, TaskRoute(tasks.add, name="sum"))
    assert ids() == ["asgi_tasks.E013"]


@pytest.fixture
def deploy(configure, monkeypatch):
    """deploy(database={...}, routes=[...], **options): what `check --deploy` says of the site."""

    def deploy(database=None, routes=SIGNED, **options):
        right = {"ENGINE": "django.db.backends.postgresql", "CONN_MAX_AGE": 0}
        for name, value in (right | (database or {})).items():
            monkeypatch.setitem(connections.settings["default"], name, value)
        right = {"certs_url": LEFT_OUT, "service_url": "https://gyrinx.example"}
        configure(*routes, **right | options)
        return messages(include_deployment_checks=True)

    return deploy


def test_right_deployment_has_no_message(deploy):
    assert deploy() == []


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8085/oauth2/v1/certs", "https://a.example/oauth2/v1/certs"]
)
def test_foreign_certificates_are_e014_in_a_deployment(deploy, url):
    assert [message.id for message in deploy(certs_url=url)] == ["asgi_tasks.E014"]


def test_foreign_certificates_are_accepted_in_development(configure):
    configure(certs_url="http://127.0.0.1:8085/oauth2/v1/certs")
    assert ids() == []


def test_foreign_certificates_fail_check_deploy(configure):
    configure(certs_url="https://a.example/oauth2/v1/certs")
    with pytest.raises(CommandError, match=r"asgi_tasks\.E014"):
        call_command("check", deploy=True)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://[::1]", "https://localhost"])
def test_service_on_this_machine_is_e015_in_a_deployment(deploy, url):
    [message] = deploy(service_url=url)
    assert (message.id, "'service_url'" in message.hint) == ("asgi_tasks.E015", True)


def test_service_on_this_machine_is_accepted_in_development(configure):
    configure(service_url="http://127.0.0.1:8000")
    assert ids() == []


@pytest.mark.parametrize("age", [None, 60])
def test_kept_connections_are_w002_in_a_deployment(deploy, age):
    [message] = deploy({"CONN_MAX_AGE": age})
    hint = "Set DATABASES['default']['CONN_MAX_AGE'] to 0"
    assert (message.id, message.hint.startswith(hint)) == ("asgi_tasks.W002", True)


@pytest.mark.parametrize("engine", ["db.backends.sqlite3", "contrib.gis.db.backends.spatialite"])
def test_sqlite_is_w003_in_a_deployment(deploy, engine):
    [message] = deploy({"ENGINE": f"django.{engine}"})
    assert (message.id, "['ENGINE']" in message.hint) == ("asgi_tasks.W003", True)


def test_unsigned_route_is_w004_in_a_deployment(deploy):
    routes = [*routes_but(tasks.echo), TaskRoute(tasks.echo, signed=False, aliases=("shout",))]
    [message] = deploy(routes=routes)
    assert message.id == "asgi_tasks.W004"
    assert message.msg == (
        "The route 'echo' is not signed: anybody who may publish to "
        "projects/tests/topics/test-site-echo or projects/tests/topics/test-site-shout "
        "runs this task with arguments of their choice."
    )
    assert f"Remove signed=False in `task_routes` in {__name__}." in message.hint


def test_each_unsigned_route_is_reported(deploy):
    routes = [
        *routes_but(tasks.echo, tasks.add),
        *(TaskRoute(task, signed=False) for task in (tasks.echo, tasks.add)),
    ]
    assert [message.id for message in deploy(routes=routes)] == ["asgi_tasks.W004"] * 2


def test_unsigned_route_is_accepted_as_the_hint_says(deploy, settings):
    routes = [*routes_but(tasks.echo), TaskRoute(tasks.echo, signed=False)]
    [message] = deploy(routes=routes)
    [(name, value)] = re.findall(r"(\w+) = (\[.*\])", message.hint)
    setattr(settings, name, ast.literal_eval(value))
    assert message.is_silenced()


def test_unsigned_route_is_nobody_s_business_in_development(configure):
    configure(*routes_but(tasks.echo), TaskRoute(tasks.echo, signed=False))
    assert ids() == []


def test_databases_are_not_looked_at_in_development(configure):
    configure()
    assert ids() == []


def test_debug_in_a_deployment_is_djangos_own_to_find(deploy, settings):
    settings.DEBUG = True
    deploy()
    assert "security.W018" in [message.id for message in run_checks(include_deployment_checks=True)]


def test_databases_of_a_site_of_another_backend_are_its_own_business(settings):
    settings.TASKS = {"default": IMMEDIATE}
    assert ids(include_deployment_checks=True) == []


def test_wrong_options_are_reported_once_in_a_deployment(configure):
    configure(threads=0)
    assert ids(include_deployment_checks=True) == ["asgi_tasks.E004"]


def test_ack_deadline_longer_than_the_service_timeout_is_w001(configure):
    configure(*routes_but(tasks.add), TaskRoute(tasks.add, ack_deadline=301))
    assert ids() == ["asgi_tasks.W001"]


def test_ack_deadline_of_the_service_timeout_is_accepted(configure):
    configure(*routes_but(tasks.add), TaskRoute(tasks.add, ack_deadline=600), service_timeout=600)
    assert ids() == []


def test_long_ack_deadline_is_a_warning_and_lets_commands_run(configure):
    configure(service_timeout=299)
    call_command("check")
