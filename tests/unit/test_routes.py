from dataclasses import FrozenInstanceError, replace

import pytest
from django.tasks import task

from asgi_tasks import TaskRoute
from asgi_tasks.conf import InvalidConfiguration, parse_options
from asgi_tasks.exceptions import EnqueueRefused, RouteNotFound, TaskNotFound
from asgi_tasks.routes import (
    RouteTable,
    describe,
    find_problems,
    get_route_table,
    load_routes,
    topic_id,
)
from tests.site import task_routes as site_routes
from tests.site import tasks

OPTIONS = parse_options(
    {
        "project_id": "gyrinx-1",
        "environment": "prod",
        "topic_prefix": "gyrinx-tasks",
        "routes": "tests.site.task_routes",
        "service_url": "https://gyrinx.app",
        "push_service_account": "a@b",
    }
)


@task(takes_context=True)
def report(context, campaign_id, *, suffix="pdf"):
    pass


def table(*routes):
    return RouteTable(routes, OPTIONS)


def problem_ids(*routes, options=OPTIONS):
    with pytest.raises(InvalidConfiguration) as caught:
        RouteTable(routes, options)
    return [problem.id for problem in caught.value.problems]


class TestTaskRoute:
    def test_defaults_are_those_of_the_reference(self):
        assert TaskRoute(tasks.add) == TaskRoute(
            tasks.add,
            name="add",
            ack_deadline=300,
            min_retry_delay=10,
            max_retry_delay=600,
            max_delivery_attempts=25,
            timeout=None,
            signed=True,
            aliases=(),
        )

    def test_options_are_keyword_only(self):
        with pytest.raises(TypeError, match="positional"):
            TaskRoute(tasks.add, "name")

    def test_route_is_frozen(self):
        with pytest.raises(FrozenInstanceError):
            TaskRoute(tasks.add).name = "other"

    def test_route_is_hashable(self):
        assert len({TaskRoute(tasks.add, aliases=["a"]), TaskRoute(tasks.add, aliases=("a",))}) == 1

    @pytest.mark.parametrize("function", [tasks.add.func, "tests.site.tasks.add", None], ids=repr)
    def test_what_is_no_task_is_told_how_to_become_one(self, function):
        with pytest.raises(TypeError, match=r"is not a task\. Decorate it with"):
            TaskRoute(function)

    @pytest.mark.parametrize(
        "fields",
        [
            {"ack_deadline": 10},
            {"ack_deadline": 600},
            {"min_retry_delay": 0},
            {"min_retry_delay": 600},
            {"min_retry_delay": 0, "max_retry_delay": 0},
            {"max_retry_delay": 10},
            {"max_delivery_attempts": 5},
            {"max_delivery_attempts": 100},
            {"timeout": 0.5},
            {"ack_deadline": 60, "timeout": 60},
            {"signed": False},
            {"name": "_"},
            {"name": "billing.send-invoice_2"},
            {"name": "x" * 200},
        ],
        ids=repr,
    )
    def test_value_within_the_limits_is_accepted(self, fields):
        route = TaskRoute(tasks.add, **fields)
        assert {name: getattr(route, name) for name in fields} == fields

    @pytest.mark.parametrize(
        "fields",
        [
            *[{"ack_deadline": value} for value in (9, 601, 0, -1, 60.5, "60", None)],
            *[{"min_retry_delay": value} for value in (-1, 601, 1.5, "10", None)],
            *[{"max_retry_delay": value} for value in (-1, 601, 600.5, "600", None)],
            {"min_retry_delay": 20, "max_retry_delay": 19},
            *[{"max_delivery_attempts": value} for value in (4, 101, 0, 25.0, "25", None)],
            *[{"timeout": value} for value in (0, -1, 301, float("nan"), float("inf"), "10")],
            {"ack_deadline": 60, "timeout": 60.1},
            *[{"name": value} for value in ("", "a b", "a/b", ".a", "-a", "é", "a\n", "x" * 201)],
            *[{"name": value} for value in (1, b"a")],
            *[{"aliases": [value]} for value in ("", "a b", None, 1)],
        ],
        ids=repr,
    )
    def test_value_beyond_the_limits_is_refused_by_name(self, fields):
        *_, name = fields
        wrong = name if name not in ("name", "aliases") else "cannot name a task"
        with pytest.raises(ValueError, match=wrong):
            TaskRoute(tasks.add, **fields)

    def test_single_alias_without_its_comma_is_told_so(self):
        with pytest.raises(TypeError, match=r"Write \('old_add',\)"):
            TaskRoute(tasks.add, aliases=("old_add"))

    def test_names_are_the_name_then_the_aliases(self):
        assert TaskRoute(tasks.add, aliases=["b", "a"]).names == ("add", "b", "a")

    @pytest.mark.parametrize(
        ("fields", "deadline"),
        [
            ({}, 295),
            ({"ack_deadline": 10}, 5),
            ({"ack_deadline": 600}, 595),
            ({"timeout": 1.5}, 1.5),
            ({"timeout": 295}, 295),
            ({"timeout": 296}, 295),
            ({"timeout": 300}, 295),
        ],
        ids=repr,
    )
    def test_run_ends_by_its_timeout_and_five_seconds_before_the_ack_deadline(
        self, fields, deadline
    ):
        assert TaskRoute(tasks.add, **fields).deadline == deadline

    @pytest.mark.parametrize(
        ("function", "args", "kwargs"),
        [
            (tasks.add, [1, 2], {}),
            (tasks.add, [1], {"b": 2}),
            (tasks.echo, [], {}),
            (tasks.echo, [1, 2, 3], {"any": 1}),
            (report, [7], {}),
            (report, [], {"campaign_id": 7, "suffix": "html"}),
        ],
    )
    def test_arguments_the_function_takes_are_bound(self, function, args, kwargs):
        TaskRoute(function).bind(args, kwargs)

    @pytest.mark.parametrize(
        ("function", "args", "kwargs"),
        [
            (tasks.add, [], {}),
            (tasks.add, [1], {}),
            (tasks.add, [1, 2, 3], {}),
            (tasks.add, [1, 2], {"b": 2}),
            (tasks.add, [1, 2], {"c": 3}),
            (report, [], {}),
            (report, [7, "html"], {}),
            (report, [7], {"context": None}),
        ],
    )
    def test_arguments_the_function_does_not_take_are_refused(self, function, args, kwargs):
        with pytest.raises(TypeError):
            TaskRoute(function).bind(args, kwargs)


class TestTopic:
    @pytest.mark.parametrize(
        ("name", "topic"),
        [
            ("send_welcome_email", "prod-gyrinx-tasks-send-welcome-email"),
            ("SendMail", "prod-gyrinx-tasks-sendmail"),
            ("billing.v2__send-it", "prod-gyrinx-tasks-billing-v2-send-it"),
            ("_private_", "prod-gyrinx-tasks-private"),
        ],
    )
    def test_topic_is_environment_prefix_and_name_with_hyphens(self, name, topic):
        assert topic_id(OPTIONS, name) == topic

    def test_topic_is_a_full_resource_name(self):
        assert table().topic("add") == "projects/gyrinx-1/topics/prod-gyrinx-tasks-add"

    def test_subscription_is_the_topic_and_sub(self):
        expected = "projects/gyrinx-1/subscriptions/prod-gyrinx-tasks-add-sub"
        assert table().subscription("add") == expected

    def test_dead_letters_have_one_topic(self):
        expected = "projects/gyrinx-1/topics/prod-gyrinx-tasks-dead-letter"
        assert table().dead_letter_topic == expected

    def test_dead_letters_have_one_subscription(self):
        expected = "projects/gyrinx-1/subscriptions/prod-gyrinx-tasks-dead-letter-sub"
        assert table().dead_letter_subscription == expected


class TestRouteTable:
    def test_routes_are_kept_in_order(self):
        routes = [TaskRoute(tasks.fail), TaskRoute(tasks.add)]
        assert list(table(*routes)) == routes

    def test_route_is_found_by_its_task(self):
        route = TaskRoute(tasks.add, name="sum")
        assert table(route).route_for(tasks.add) is route

    def test_route_is_found_by_a_variation_of_its_task(self):
        route = TaskRoute(tasks.add)
        assert table(route).route_for(replace(tasks.add, queue_name="default")) is route

    @pytest.mark.parametrize("name", ["add", "plus"])
    def test_route_is_found_by_its_name_and_its_alias(self, name):
        route = TaskRoute(tasks.add, aliases=("plus",))
        assert table(route).resolve(name) is route

    @pytest.mark.parametrize(
        "name",
        ["", "Add", "add_sync", "tests.site.tasks.add", "os.system", "builtins.eval", "__class__"],
    )
    def test_unknown_name_is_not_found(self, name):
        with pytest.raises(TaskNotFound):
            table(TaskRoute(tasks.add)).resolve(name)

    def test_task_without_route_is_told_the_line_and_where(self):
        expected = r"Add TaskRoute\(fail\) to `task_routes` in tests\.site\.task_routes"
        with pytest.raises(RouteNotFound, match=expected):
            table(TaskRoute(tasks.add)).route_for(tasks.fail)

    def test_task_without_route_was_not_enqueued(self):
        with pytest.raises(EnqueueRefused):
            table().route_for(tasks.fail)

    @pytest.mark.parametrize(("function", "known"), [(tasks.add, True), (tasks.fail, False)])
    def test_table_contains_the_tasks_it_routes(self, function, known):
        assert (function in table(TaskRoute(tasks.add))) is known

    @pytest.mark.parametrize(
        ("routes", "check_id"),
        [
            ([TaskRoute(tasks.add), TaskRoute(tasks.fail, name="add")], "asgi_tasks.E007"),
            ([TaskRoute(tasks.add), TaskRoute(tasks.fail, aliases=["add"])], "asgi_tasks.E007"),
            ([TaskRoute(tasks.add, aliases=["add"])], "asgi_tasks.E007"),
            ([TaskRoute(tasks.add), TaskRoute(tasks.fail, name="Add")], "asgi_tasks.E008"),
            ([TaskRoute(tasks.add, aliases=["add_"])], "asgi_tasks.E008"),
            ([TaskRoute(tasks.add, name="dead_letter")], "asgi_tasks.E008"),
            ([TaskRoute(tasks.add, aliases=["dead-letter"])], "asgi_tasks.E008"),
            ([TaskRoute(tasks.add, name="__")], "asgi_tasks.E012"),
            ([TaskRoute(tasks.add), TaskRoute(tasks.add, name="sum")], "asgi_tasks.E013"),
        ],
    )
    def test_colliding_routes_are_one_problem(self, routes, check_id):
        assert problem_ids(*routes) == [check_id]

    @pytest.mark.parametrize(("length", "ids"), [(175, []), (176, ["asgi_tasks.E012"])])
    def test_subscription_may_have_255_characters(self, length, ids):
        options = replace(OPTIONS, environment="e" * 54, topic_prefix="p" * 20)
        problems = find_problems([TaskRoute(tasks.add, name="x" * length)], options)
        assert [problem.id for problem in problems] == ids

    def test_environment_of_goog_is_refused_by_pubsub(self):
        options = replace(OPTIONS, environment="goog")
        assert "asgi_tasks.E012" in problem_ids(options=options)


class TestLoadRoutes:
    @pytest.mark.parametrize(
        "path", ["tests.site.task_routes", "tests.site.task_routes.task_routes"]
    )
    def test_module_or_list_is_loaded(self, path):
        assert load_routes(path) == site_routes.task_routes

    def test_tuple_of_routes_is_loaded(self, monkeypatch):
        monkeypatch.setattr(site_routes, "task_routes", tuple(site_routes.task_routes))
        assert load_routes("tests.site.task_routes") == list(site_routes.task_routes)

    @pytest.mark.parametrize(
        "path",
        [
            "nowhere",
            "nowhere.task_routes",
            "tests.site.nowhere",
            "tests.site.task_routes.nowhere",
            ".relative",
            "tests.",
            "tests..site",
            " ",
            "a/b",
        ],
    )
    def test_path_to_nothing_is_a_problem(self, path):
        with pytest.raises(InvalidConfiguration) as caught:
            load_routes(path)
        assert [problem.id for problem in caught.value.problems] == ["asgi_tasks.E005"]

    @pytest.mark.parametrize(
        "source",
        ["1 / 0", "import nowhere", "def", "from asgi_tasks import TaskRoute; TaskRoute(1)"],
    )
    def test_module_that_raises_is_a_problem_that_says_what(self, source, tmp_path, monkeypatch):
        (tmp_path / "broken_routes.py").write_text(source)
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(InvalidConfiguration) as caught:
            load_routes("broken_routes")
        [problem] = caught.value.problems
        assert problem.id == "asgi_tasks.E005"
        assert type(caught.value.__cause__).__name__ in problem.message

    @pytest.mark.parametrize(
        "path",
        ["tests.site.tasks", "tests.site.tasks.add", "tests.site.tasks.record", "tests.site"],
    )
    def test_path_to_no_list_of_routes_is_a_problem(self, path):
        with pytest.raises(InvalidConfiguration) as caught:
            load_routes(path)
        assert [problem.id for problem in caught.value.problems] == ["asgi_tasks.E006"]

    @pytest.mark.parametrize("found", [[tasks.add], None, {}, "x", [None]], ids=repr)
    def test_list_of_something_else_is_a_problem(self, found, monkeypatch):
        monkeypatch.setattr(site_routes, "task_routes", found)
        with pytest.raises(InvalidConfiguration) as caught:
            load_routes("tests.site.task_routes")
        assert [problem.id for problem in caught.value.problems] == ["asgi_tasks.E006"]

    def test_empty_list_is_loaded(self, monkeypatch):
        monkeypatch.setattr(site_routes, "task_routes", [])
        assert load_routes("tests.site.task_routes") == []

    def test_routes_are_loaded_once_a_process(self):
        assert get_route_table("default") is get_route_table("default")

    def test_routes_are_loaded_again_after_a_change_of_settings(self, settings):
        before = get_route_table("default")
        settings.TASKS = settings.TASKS
        assert get_route_table("default") is not before

    @pytest.mark.parametrize(
        ("path", "words"),
        [
            ("tests.site.task_routes", "`task_routes` in tests.site.task_routes"),
            ("tests.site.routes.later", "the list tests.site.routes.later"),
        ],
    )
    def test_place_of_the_list_is_described_for_people(self, path, words):
        assert describe(path) == words
