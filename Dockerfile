# Barometer in a container. Two variants:
#   docker build -t barometer .                             CPU: the light serving install
#   docker build -t barometer:cuda --build-arg VARIANT=cuda .   with torch built for CUDA: training, gradients
# The CUDA libraries come with torch's wheels; the host needs only its driver and the NVIDIA container runtime.
# Debian 13, whose PostgreSQL client is 17 as the server of docker-compose.yml is: pg_dump refuses a newer server.
ARG BASE=python:3.11-slim-trixie
FROM ${BASE} AS build
ARG VARIANT=cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/barometer
ENV PATH=/opt/barometer/bin:$PATH
WORKDIR /src
# What it needs, before our own files: a layer that is built again only when one of these two changes.
COPY pyproject.toml constraints.txt ./
RUN touch README.md LICENSE && case "$VARIANT" in \
      cpu) pip install -c constraints.txt . ;; \
      cuda) pip install -c constraints.txt '.[train]' ;; \
      *) echo "VARIANT is '$VARIANT'; use cpu or cuda" >&2; exit 1 ;; \
    esac
COPY README.md LICENSE ./
COPY app app
COPY barometer barometer
COPY ingest ingest
COPY models models
COPY monitor monitor
COPY dashboard dashboard
RUN pip install --no-deps --force-reinstall .

FROM ${BASE}
RUN apt-get update && apt-get install -y --no-install-recommends fonts-noto-cjk postgresql-client tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home --home-dir /var/lib/barometer barometer
COPY --from=build /opt/barometer /opt/barometer
ENV PATH=/opt/barometer/bin:$PATH PYTHONUNBUFFERED=1 BAROMETER_LOG_FORMAT=json \
    BAROMETER_METRICS_HOST=0.0.0.0 BAROMETER_DASHBOARD_HOST=0.0.0.0
USER 10001
WORKDIR /var/lib/barometer
ENTRYPOINT ["tini", "--", "barometer"]
CMD ["--help"]
