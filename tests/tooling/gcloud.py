"""A gcloud that does nothing but remember, and the real one where it is installed."""

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

from tests.processes import ROOT

FAKE = """#!{python} -IS
import json, os, sys
folder, arguments = {folder!r}, sys.argv[1:]
typed = " ".join(arguments)
stdin = sys.stdin.read() if typed.count("-file=-") else None
with open(f"{{folder}}/calls", "a") as calls:
    calls.write(json.dumps([typed, stdin]) + "\\n")
for number, (part, answer) in enumerate(json.load(open(f"{{folder}}/answers"))):
    left = f"{{folder}}/left-{{number}}"
    if part in typed and os.path.exists(left) and (count := int(open(left).read())):
        open(left, "w").write(str(count - 1))
        sys.stdout.write(answer.get("stdout", ""))
        sys.stderr.write(answer.get("stderr", ""))
        sys.exit(answer.get("status", 0))
"""


class FakeGcloud:
    """Comes first on PATH. Answers what it was told to, else nothing and success."""

    def __init__(self, folder):
        self._folder = folder
        self._answers = []
        program = folder / "gcloud"
        program.write_text(FAKE.format(python=sys.executable, folder=str(folder)))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        self._write()

    def answers(self, part, *, times=1_000, **answer):
        """When a call contains this text: stdout, stderr, status; so many times."""
        (self._folder / f"left-{len(self._answers)}").write_text(str(times))
        self._answers.append((part, answer))
        self._write()

    def fails(self, part, message, **options):
        self.answers(part, stderr=f"ERROR: {message}\n", status=1, **options)

    @property
    def calls(self):
        """Each call as one line, then what came on its standard input."""
        path = self._folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [tuple(json.loads(line)) for line in lines]

    @property
    def typed(self):
        return [typed for typed, _ in self.calls]

    def forget(self):
        (self._folder / "calls").unlink(missing_ok=True)

    def run(self, script, *arguments, **variables):
        """Run a script of docker/ with this gcloud."""
        env = {
            "PATH": f"{self._folder}:{os.environ['PATH']}",
            "PROJECT_ID": "my-project",
            "RETRY_SECONDS": "0",
        }
        return subprocess.run(
            ["sh", f"docker/{script}", *arguments],
            cwd=ROOT,
            env={name: value for name, value in (env | variables).items() if value is not None},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def _write(self):
        (self._folder / "answers").write_text(json.dumps(self._answers))


def find_sdk():
    """Where Google's gcloud is installed, or None."""
    program = shutil.which("gcloud")
    folder = Path(program).resolve().parent.parent if program else None
    return folder if folder and (folder / "lib" / "googlecloudsdk").is_dir() else None


def lint(commands, folder):
    """What gcloud's own parser of commands complains of. It contacts nobody."""
    file = folder / "commands.json"
    file.write_text(json.dumps([{"command_string": command} for command in commands]))
    done = subprocess.run(
        ["gcloud", "meta", "lint-gcloud-commands", f"--commands-file={file}"],
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "CLOUDSDK_CONFIG": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert len(results) == len(set(commands))
    return [result["error_message"] for result in results if not result["success"]]


LOAD = """
import sys
sdk, path = sys.argv[1:]
sys.path[:0] = [f"{sdk}/lib", f"{sdk}/lib/third_party"]
from googlecloudsdk.api_lib.cloudbuild import cloudbuild_util, config
config.LoadCloudbuildConfigFromPath(path, cloudbuild_util.GetMessagesModule())
"""


def load_build(path):
    """What `gcloud builds submit` says of this file before it sends it; empty if nothing."""
    sdk = find_sdk()
    python = sdk / "platform" / "bundledpythonunix" / "bin" / "python3"
    done = subprocess.run(
        [python if python.exists() else "python3", "-c", LOAD, sdk, path],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stderr if done.returncode else ""
