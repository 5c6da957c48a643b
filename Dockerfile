# Prediction and serving, without torch: docker build -t lab . && docker run --rm lab doctor
# docs/serve.md has the commands for serving, and for a read-only root.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY constraints.txt pyproject.toml setup.py README.md LICENSE cli.py ./
COPY lab lab
COPY infer infer
COPY trainer trainer
COPY exporter exporter
RUN python -m venv /opt/lab \
    && /opt/lab/bin/python -m pip install --no-cache-dir --constraint constraints.txt '.[serve]'

FROM python:3.11-slim-bookworm
COPY --from=build /opt/lab /opt/lab
# the root may be read-only: all that lab and its libraries write besides --out lies in /tmp
ENV PATH=/opt/lab/bin:$PATH \
    HOME=/tmp \
    LAB_CACHE=/tmp/lab \
    MPLCONFIGDIR=/tmp/matplotlib \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /work
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/ready', timeout=4)"]
ENTRYPOINT ["lab"]
CMD ["doctor"]
