# Realms in a container: build with `docker build -t realms .`, run as compose.yaml shows.
FROM python:3.13-slim AS build
COPY requirements.txt .
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.txt \
    && test -z "$(find /venv -name '*.pth' ! -name distutils-precedence.pth)"

FROM python:3.13-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin realms \
    && mkdir /data && chown realms: /data
COPY --from=build /venv /venv
WORKDIR /realms
COPY . .
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    FLASK_APP=wsgi \
    REALMS_BIND=0.0.0.0:8080 \
    REALMS_DATA_DIR=/data
USER 10001
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["python", "deploy/alive.py"]
CMD ["gunicorn", "wsgi:app"]
