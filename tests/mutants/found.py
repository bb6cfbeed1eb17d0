"""All mutants there are."""

import pkgutil
from importlib import import_module
from pathlib import Path

import tests.mutants

ROOT = Path(__file__).parent.parent.parent


def find_mutants():
    names = sorted(module.name for module in pkgutil.iter_modules(tests.mutants.__path__))
    modules = [import_module(f"tests.mutants.{name}") for name in names if name != "__main__"]
    return [mutant for module in modules for mutant in getattr(module, "MUTANTS", ())]
