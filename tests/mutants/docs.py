"""The documentation's site: what may not lead nowhere, and what the pages have to say."""

from tests.mutants import Mutant

SITE = "tests/docs/test_site.py"

MUTANTS = [
    Mutant(
        guard="docs: a link that leads nowhere fails the check",
        file="Makefile",
        old="--fail-on-warning ",
        new="",
        tests=f"{SITE} -k leads_nowhere",
    ),
    Mutant(
        guard="docs: what failed once fails the next time",
        file="Makefile",
        old=" --fresh-env",
        new="",
        tests=f"{SITE} -k fails_again",
    ),
    Mutant(
        guard="docs: an index page's links are the menu",
        file="docs/conf.py",
        old="source[0] = text + menu",
        new="source[0] = text",
        tests=f"{SITE} -k in_the_menu",
    ),
    Mutant(
        guard="docs: a link to the README is one to the front page",
        file="docs/conf.py",
        old="pages.get(path, path)",
        new="path",
        tests=f"{SITE} -k front_page",
    ),
    Mutant(
        guard="docs: every block that a reader types has its test",
        file="docs/glossary.md",
        old="# Glossary\n",
        new="# Glossary\n\n```console\n$ python manage.py nowhere\n```\n",
        tests="tests/docs/test_examples.py -k carried_out",
    ),
]
