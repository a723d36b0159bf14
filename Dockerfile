# Two stages. The first installs what the lock files name, by hash, and gathers under /image what a running proxy needs, no
# more: no shell, no package manager, no pip. The second is that. `make image-check` runs these steps without a container
# engine and tries what they yield: docs/image.md.
FROM python:3.13-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_NO_COMPILE=1 \
    PIP_ROOT_USER_ACTION=ignore

# Debian's libraries that Python and the wheels are linked with, where scanners of images look for them.
WORKDIR /debs
# hadolint ignore=DL3008 # a pinned version is gone from the archive with the next security fix
RUN apt-get update \
    && apt-get install --yes --no-install-recommends binutils ca-certificates \
    && apt-get download base-files gcc-12-base libc6 libgcc-s1 libstdc++6 libcrypt1 libssl3 libsqlite3-0 libffi8 \
        libbz2-1.0 liblzma5 libuuid1 zlib1g \
    && mkdir -p /image/var/lib/dpkg/status.d \
    && for deb in *.deb; do \
        dpkg-deb --extract "$deb" /image \
        && dpkg-deb --field "$deb" > "/image/var/lib/dpkg/status.d/${deb%%_*}" || exit 1; \
    done \
    && find /image/usr/share/doc -type f ! -name copyright -delete \
    && rm -rf /image/usr/share/man /image/usr/share/locale /image/usr/share/lintian /image/usr/lib/*/gconv

# The dependencies change less often than the program: a layer of their own.
WORKDIR /src
COPY requirements.lock requirements-build.lock ./
RUN python3.13 -m venv --without-pip /opt/shadowproxy \
    && python -m pip --python /opt/shadowproxy/bin/python install \
        --require-hashes --only-binary :all: --requirement requirements.lock \
    && python -m pip install --require-hashes --only-binary :all: --requirement requirements-build.lock

COPY pyproject.toml README.md LICENSE ./
COPY shadowproxy ./shadowproxy
RUN python -m pip wheel --no-deps --no-build-isolation --wheel-dir /wheel . \
    && python -m pip --python /opt/shadowproxy/bin/python install --no-deps --no-index /wheel/*.whl

# Symbols for debuggers are two fifths of the wheels. Bytecode is compiled here: a read-only file system takes none later.
RUN mkdir -p /image/usr/local/lib /image/usr/local/bin /image/opt /image/etc/ssl/certs \
    && cp -a /opt/shadowproxy /image/opt/ \
    && cp -a /usr/local/bin/python3 /usr/local/bin/python3.13 /image/usr/local/bin/ \
    && cp -a /usr/local/lib/python3.13 /image/usr/local/lib/ \
    && find /usr/local/lib -maxdepth 1 -name 'libpython3*.so*' -exec cp -a {} /image/usr/local/lib/ ';' \
    && lib=/image/usr/local/lib/python3.13 \
    && rm -rf "$lib"/site-packages/* "$lib"/test "$lib"/idlelib "$lib"/tkinter "$lib"/turtledemo "$lib"/ensurepip \
        "$lib"/pydoc_data "$lib"/config-3.13-* "$lib"/lib-dynload/_test* \
    && find /image/usr/local /image/opt -name __pycache__ -prune -exec rm -rf {} + \
    && find /image/usr/local /image/opt -name '*.so*' -type f -exec strip --strip-unneeded {} + \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash -s /image \
        /image/usr/local/lib/python3.13 /image/opt/shadowproxy/lib \
    && cp -L /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
    && printf 'root:x:0:0::/root:/sbin/nologin\nshadowproxy:x:10001:10001::/data:/sbin/nologin\n' > /image/etc/passwd \
    && printf 'root:x:0:\nshadowproxy:x:10001:\n' > /image/etc/group \
    && printf 'hosts: files dns\n' > /image/etc/nsswitch.conf \
    && printf '/usr/local/lib\n' > /image/etc/ld.so.conf \
    && install -d -m 0755 /image/etc/shadowproxy /image/proc /image/dev \
    && install -d -m 1777 /image/tmp \
    && install -d -m 0750 -o 10001 -g 10001 /image/data \
    && ldconfig -r /image \
    && chroot /image /opt/shadowproxy/bin/shadowproxy --version

FROM scratch
LABEL org.opencontainers.image.title="shadowproxy" \
      org.opencontainers.image.description="Serves from the primary, mirrors to the candidate, tells what differs" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /image /
COPY --from=build --chown=10001:10001 /image/data /data
ENV PATH=/opt/shadowproxy/bin:/usr/local/bin \
    LANG=C.UTF-8 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /data
VOLUME ["/data"]
# 8080 traffic, 9900 admin (loopback unless tokens are configured), 9901 probes.
EXPOSE 8080 9900 9901
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["shadowproxy", "health"]
ENTRYPOINT ["shadowproxy"]
CMD ["run", "/etc/shadowproxy/config.yaml"]
