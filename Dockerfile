FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /app
COPY requirements/site.txt requirements/site.txt
RUN python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv/bin/python install --require-hashes --only-binary :all: \
        --requirement requirements/site.txt
COPY manage.py ./
COPY docker/entrypoint.sh docker/entrypoint.sh
COPY asgi_tasks asgi_tasks
COPY gyrinx gyrinx
RUN DJANGO_SETTINGS_MODULE=gyrinx.settings_build \
    /opt/venv/bin/python manage.py collectstatic --no-input \
    && /opt/venv/bin/python -m compileall -q asgi_tasks gyrinx

FROM python:3.13-slim
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=gyrinx.settings_prod \
    PORT=8080
# Nothing is installed here any more, so nothing can be.
RUN useradd --no-log-init --uid 10001 --no-create-home --shell /usr/sbin/nologin gyrinx \
    && python -m pip uninstall --yes --quiet --root-user-action ignore pip
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
WORKDIR /app
USER 10001
EXPOSE 8080
ENTRYPOINT ["sh", "docker/entrypoint.sh"]
