import os
import subprocess
import sys

import pytest

from tests.processes import ROOT

PRODUCTION = {
    "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQR",
    "DATABASE_URL": "postgres://user:password@database/gyrinx",
    "ALLOWED_HOSTS": "gyrinx.app,www.gyrinx.app",
    "GCP_PROJECT_ID": "gyrinx-1",
    "TASKS_SERVICE_URL": "https://gyrinx.app",
    "TASKS_SERVICE_ACCOUNT": "pubsub-invoker@gyrinx-1.iam.gserviceaccount.com",
    "EMAIL_HOST": "smtp.example.com",
}
# What the shell of whoever runs the tests may hold.
OURS = {
    *PRODUCTION,
    "TASKS_ENVIRONMENT",
    "SECRET_KEY_FALLBACKS",
    "MEDIA_ROOT",
    "GYRINX_VAR",
    "LOG_LEVEL",
}


def manage(*arguments, settings="gyrinx.settings_prod", env=None):
    clean = {name: value for name, value in os.environ.items() if name not in OURS}
    return subprocess.run(
        [sys.executable, "-W", "error", "manage.py", *arguments],
        cwd=ROOT,
        env=clean | {"DJANGO_SETTINGS_MODULE": settings} | (env or {}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def setting(name, env):
    code = f"from django.conf import settings; print(settings.{name})"
    done = manage("shell", "--no-imports", "-c", code, env=PRODUCTION | env)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_production_with_all_it_needs_passes_the_deploy_check():
    done = manage("check", "--deploy", "--fail-level", "WARNING", env=PRODUCTION)
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


def test_production_without_anything_names_all_that_is_missing():
    done = manage("check")
    assert done.returncode != 0
    assert "ImproperlyConfigured: gyrinx cannot start:" in done.stderr
    for name in PRODUCTION:
        assert f"- {name} is not set: " in done.stderr


@pytest.mark.parametrize("name", PRODUCTION)
def test_production_without_one_thing_names_only_that(name):
    done = manage("check", env={key: PRODUCTION[key] for key in PRODUCTION if key != name})
    complaints = [line for line in done.stderr.splitlines() if line.startswith("- ")]
    assert [complaint.split()[1] for complaint in complaints] == [name]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TASKS_ENVIRONMENT", "production"),
        ("TASKS_SERVICE_URL", "http://gyrinx.app"),
        ("DATABASE_URL", "sqlite:///db.sqlite3"),
        ("LOG_LEVEL", "LOUD"),
    ],
)
def test_production_with_a_wrong_value_says_which(name, value):
    done = manage("check", env=PRODUCTION | {name: value})
    assert done.returncode != 0
    assert f"- {name} " in done.stderr


def test_production_reads_the_environment_of_the_tasks():
    options = setting(
        "TASKS['default']['OPTIONS']['environment']", {"TASKS_ENVIRONMENT": "staging"}
    )
    assert options == "staging"


@pytest.mark.parametrize(("value", "level"), [("debug", "DEBUG"), (" Warning ", "WARNING")])
def test_production_reads_the_log_level_however_it_is_written(value, level):
    assert setting("LOGGING['root']['level']", {"LOG_LEVEL": value}) == level


def test_production_keeps_former_secret_keys():
    fallbacks = setting("SECRET_KEY_FALLBACKS", {"SECRET_KEY_FALLBACKS": "old, older"})
    assert fallbacks == "['old', 'older']"


def test_production_bounds_its_database_connections():
    database = setting("DATABASES['default']", {"DATABASE_POOL_MAX": "5"})
    assert "'max_size': 5" in database
    assert "'CONN_MAX_AGE': 0" in database


def test_production_never_holds_the_development_key():
    assert setting("SECRET_KEY", {}) == PRODUCTION["SECRET_KEY"]


@pytest.mark.parametrize("name", ["settings", "settings_local"])
def test_settings_for_a_laptop_pass_the_check(name, tmp_path):
    done = manage("check", settings=f"gyrinx.{name}", env={"GYRINX_VAR": str(tmp_path)})
    assert done.returncode == 0, done.stderr


def test_models_have_their_migrations(tmp_path):
    env = {"GYRINX_VAR": str(tmp_path)}
    done = manage("makemigrations", "--check", "--dry-run", settings="gyrinx.settings", env=env)
    assert done.returncode == 0, done.stdout


def test_static_files_are_collected_without_secrets():
    done = manage("collectstatic", "--noinput", "--dry-run", settings="gyrinx.settings_build")
    assert done.returncode == 0, done.stderr
