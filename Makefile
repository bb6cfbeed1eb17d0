# Everything sets itself up: see docs/how-to/develop.md.
MAKEFLAGS += --no-print-directory
ARGS =
LOWEST = 1
BIN = .venv/bin
SCRIPTS = requirements/*.sh docker/*.sh .ci/run
CHECKS = lint format types imports django deploy migrations shell docker lock-files docs
SPHINX = $(BIN)/python -m sphinx --fail-on-warning --nitpicky --quiet --fresh-env -d .cache/docs

# Stand-ins that let the production settings load: nothing is contacted.
PRODUCTION = DJANGO_SETTINGS_MODULE=gyrinx.settings_prod \
	SECRET_KEY=made-up-for-check-deploy-0123456789-abcdefghijklmnopqrstuvwxyz \
	DATABASE_URL=postgresql:///gyrinx ALLOWED_HOSTS=gyrinx.example GCP_PROJECT_ID=gyrinx-check \
	TASKS_ENVIRONMENT=prod TASKS_SERVICE_URL=https://gyrinx.example \
	TASKS_SERVICE_ACCOUNT=pubsub-invoker@gyrinx-check.iam.gserviceaccount.com \
	EMAIL_HOST=localhost

.PHONY: help demo test check docs docs-links check-image audit mutants chaos fuzz bench bench-emulator bench-pages bench-flood profile lock clean setup setup-lowest setup-bench $(CHECKS:%=check-%)

help:
	@echo 'make demo    the site, Pub/Sub and every task on this machine (ARGS=--once: by itself, then a table)'
	@echo 'make test    all tests, on the newest and on the oldest dependencies (LOWEST=0: the newest only)'
	@echo 'make check   lint, types, import rules, Django checks, shell scripts, Dockerfile, documentation'
	@echo 'make docs    the documentation as a site, in build/docs'
	@echo 'make docs-links   ask every link of the documentation that leads elsewhere (a network; not a part of check)'
	@echo 'make check-image   the Dockerfile, carried out in a bare Debian (root, debootstrap and a network)'
	@echo 'make audit   advisories about what the image holds (a network; not a part of check)'
	@echo 'make mutants   take each guard out of a copy: a test has to notice (ARGS=word: only some)'
	@echo 'make chaos   two minutes of everything going wrong: nothing may get lost (ARGS=--kills: kill -9 alone)'
	@echo 'make fuzz    100,000 hostile pushes (ARGS="--cases 1000000 --seed 7": more, or again)'
	@echo 'make bench   ten minutes: measure ourselves beside others, and write docs/benchmarks.md (ONLY=3 or 1,3,8b: some rows)'
	@echo 'make bench-emulator, bench-pages, bench-flood   the emulator, pages beside pushes, pushes beside strangers'
	@echo 'make profile   where the time of a push goes (ARGS=enqueue, ARGS=sync-enqueue: of an enqueue)'
	@echo 'make lock    recompile requirements/*.txt (ARGS=--upgrade: newest versions)'
	@echo 'make clean   remove what make and the tools left here'
	@echo 'ARGS=... goes to the tool behind demo, test, docs-links, chaos, fuzz, bench, profile and lock; PYTHON=... chooses the Python.'

setup:
	@sh requirements/setup.sh dev .venv

setup-lowest:
	@sh requirements/setup.sh lowest .venv-lowest 3.12

setup-bench:
	@sh requirements/setup.sh bench .venv-bench

demo: setup
	@DJANGO_SETTINGS_MODULE=gyrinx.settings exec $(BIN)/python manage.py demo $(ARGS)

ifeq ($(LOWEST),1)
test: setup-lowest
endif
test: setup
	@exec $(BIN)/python -m tests.tooling.run $(if $(filter 1,$(LOWEST)),--lowest) -- $(ARGS)

check: setup
	@failed=; for name in $(CHECKS); do \
		echo "== $$name"; $(MAKE) -s check-$$name || failed="$$failed $$name"; \
	done; \
	if [ -n "$$failed" ]; then echo "check: failed:$$failed"; exit 1; fi; \
	echo "check: all passed: $(CHECKS)"

check-lint:
	@$(BIN)/ruff check
check-format:
	@$(BIN)/ruff format --check
check-types:
	@$(BIN)/mypy
check-imports:
	@PYTHONPATH=. $(BIN)/lint-imports --no-logo --cache-dir .cache/import-linter
check-django:
	@DJANGO_SETTINGS_MODULE=gyrinx.settings $(BIN)/python manage.py check --fail-level WARNING
check-deploy:
	@$(PRODUCTION) $(BIN)/python manage.py check --deploy --fail-level WARNING
check-migrations:
	@DJANGO_SETTINGS_MODULE=gyrinx.settings $(BIN)/python manage.py makemigrations --check --dry-run
check-shell:
	@$(BIN)/shellcheck $(SCRIPTS)
check-docker:
	@$(BIN)/hadolint Dockerfile
check-lock-files:
	@! grep -n '://' requirements/*.txt
check-docs:
	@rm -rf build/docs && $(SPHINX) -b html docs build/docs

docs: setup check-docs
	@echo 'docs: build/docs/index.html'

docs-links: setup
	@$(SPHINX) -b linkcheck docs build/docs-links $(ARGS)

audit: setup
	@$(BIN)/uv tool run pip-audit --strict --disable-pip --require-hashes -r requirements/site.txt $(ARGS)

bench: setup-bench
	@exec .venv-bench/bin/python -m bench $(if $(ONLY),--only "$(ONLY)") $(ARGS)

bench-emulator bench-pages bench-flood: setup-bench
	@exec .venv-bench/bin/python -m $(subst -,.,$@) $(ARGS)

profile: setup-bench
	@exec .venv-bench/bin/python -m bench.profiling $(ARGS)

mutants: setup
	@exec $(BIN)/python -m tests.mutants $(ARGS)

chaos: setup
	@exec $(BIN)/python -m tests.chaos $(ARGS)

fuzz: setup
	@exec $(BIN)/python -m tests.security.fuzz $(ARGS)

check-image: setup
	@exec $(BIN)/python -m tests.tooling.image $(ARGS)

lock: setup
	@sh requirements/lock.sh $(ARGS)

clean:
	rm -rf .venv .venv-lowest .venv-bench .cache .import_linter_cache .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
