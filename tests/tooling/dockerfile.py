"""Carries out the Dockerfile without an engine: each stage a folder, each RUN in a chroot.

For root on Linux. What it knows of Dockerfiles is what ours uses; anything else is an error.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

# In a mount namespace of its own: /proc, /dev and a fresh /tmp, gone when the command ends.
ENTER = """
set -eu
root=$1; readonly=$2; user=$3; directory=$4; shift 4
mount --make-rprivate /
mount --bind "$root" "$root"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
for pair in $BINDS; do
    [ -e "$root${pair#*=}" ] || mkdir -p "$root${pair#*=}"
    mount --bind -o ro "${pair%=*}" "$root${pair#*=}"
done
unset BINDS
[ "$readonly" = no ] || mount -o remount,ro,bind "$root"
exec unshare --pid --fork --kill-child --mount-proc --root="$root" \\
    setpriv --reuid "$user" --regid "$user" --clear-groups --no-new-privs \\
    sh -c 'cd "$1"; shift; exec "$@"' sh "$directory" "$@"
"""


@dataclass
class Stage:
    """A root file system, and how its processes start."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)
    directory: str = "/"
    user: str = "0"
    entrypoint: list[str] = field(default_factory=list)

    def command(self, *arguments, readonly=False, binds=None, user=None):
        """The command line that runs this in the stage; to be started with `environ`."""
        enter = ["unshare", "--mount", "sh", "-c", ENTER, "enter", str(self.root)]
        flags = ["yes" if readonly else "no", user or self.user, self.directory]
        binds = " ".join(f"{source}={target}" for source, target in (binds or {}).items())
        return ["env", f"BINDS={binds}", *enter, *flags, *arguments]

    def run(self, *arguments, env=None, **options):
        """Run it to its end. Raise CalledProcessError, its output on ours."""
        environ = {**self.environ, **(env or {})}
        return subprocess.run(self.command(*arguments, **options), env=environ, check=True)

    @property
    def environ(self):
        return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **self.env}


class Builder:
    """Builds the stages, one after the other."""

    def __init__(self, context, bases, folder, *, during_run):
        """``bases``: a root for each image that FROM names. ``during_run``: env and binds."""
        self._context, self._bases, self._folder = context, bases, folder
        self._during_run = during_run
        self._stages = {}
        self.stage = None

    def build(self, dockerfile):
        """The last stage."""
        for keyword, rest in instructions(dockerfile):
            print(f"-- {keyword} {rest}", flush=True)
            getattr(self, f"_{keyword.lower()}")(rest)
        return self.stage

    def _from(self, rest):
        image, _, name = rest.partition(" AS ")
        root = self._folder / (name or "final")
        shutil.rmtree(root, ignore_errors=True)
        subprocess.run(["cp", "-a", "--reflink=auto", self._bases[image], root], check=True)
        self.stage = self._stages[name] = Stage(root)

    def _env(self, rest):
        for pair in shlex.split(rest):
            name, _, value = pair.partition("=")
            self.stage.env[name] = Template(value).substitute(self.stage.environ)

    def _workdir(self, rest):
        self.stage.directory = rest
        self._inside(rest).mkdir(parents=True, exist_ok=True)

    def _copy(self, rest):
        *flags, source, target = rest.split()
        if flags:
            [name] = [flag.removeprefix("--from=") for flag in flags]
            origin = self._stages[name].root / source.lstrip("/")
        else:
            origin = self._context / source
        into = self._inside(target)
        if target.endswith("/") and not origin.is_dir():
            into /= origin.name
        into.parent.mkdir(parents=True, exist_ok=True)
        if origin.is_dir():
            leave = shutil.ignore_patterns(*([] if flags else ["__pycache__"]))
            shutil.copytree(origin, into, symlinks=True, dirs_exist_ok=True, ignore=leave)
        else:
            shutil.copy2(origin, into)

    def _run(self, rest):
        self.stage.run("sh", "-c", rest, **self._during_run)

    def _user(self, rest):
        self.stage.user = rest

    def _expose(self, rest):
        assert rest == self.stage.env["PORT"]

    def _entrypoint(self, rest):
        self.stage.entrypoint = json.loads(rest)

    def _inside(self, path):
        return Path(os.path.normpath(f"{self.stage.root}/{Path(self.stage.directory, path)}"))


def instructions(text):
    """Pairs of keyword and the rest, continued lines joined, comments left out."""
    kept = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(kept))
    for line in filter(str.strip, joined.splitlines()):
        keyword, _, rest = line.partition(" ")
        yield keyword.upper(), rest.strip()
