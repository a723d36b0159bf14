# Build a wheel and install it into a virtual environment; the image holds that environment and nothing else of the build.
FROM python:3.12-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml README.md ./
COPY shadowproxy ./shadowproxy
RUN python -m venv /opt/shadowproxy \
    && /opt/shadowproxy/bin/pip install --no-cache-dir --no-compile .

FROM python:3.12-slim-bookworm
LABEL org.opencontainers.image.title="shadowproxy" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --system --uid 10001 --home-dir /data --create-home shadowproxy
COPY --from=build /opt/shadowproxy /opt/shadowproxy
ENV PATH=/opt/shadowproxy/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001
WORKDIR /data
VOLUME /data
# 8080 traffic, 9900 admin (loopback unless tokens are configured), 9901 probes.
EXPOSE 8080 9900 9901
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=2s --start-period=10s CMD \
    ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:9901/healthz', timeout=1)"]
ENTRYPOINT ["shadowproxy"]
CMD ["run", "/etc/shadowproxy/config.yaml"]
