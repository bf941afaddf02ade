# HAProxy with shoal as its parent, which starts it, restarts it, reloads it (SIGHUP) and stops it softly (SIGTERM):
#   docker build -f packaging/haproxy.Dockerfile -t shoal-haproxy packaging
# It takes the program from the image `shoal` (packaging/Dockerfile). Settings: SHOAL_..., or a file and `sidecar -c FILE --
# haproxy ...` as the command; HAProxy's own file is /etc/haproxy/haproxy.cfg.
ARG SHOAL=shoal
# Debian's HAProxy is installed into it. --build-arg BASE=haproxy:lts: the official image, which has one.
ARG BASE=debian:bookworm-slim

FROM ${SHOAL} AS shoal

FROM ${BASE}
USER root
# User and group 99 as in the official image, so that a volume or a tmpfs can name them.
RUN set -eu; \
    if ! command -v haproxy >/dev/null; then \
      apt-get update; \
      DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends haproxy; \
      rm -rf /var/lib/apt/lists/*; \
      groupmod -g 99 haproxy; usermod -u 99 haproxy; \
    fi; \
    mkdir -p /run/haproxy /var/lib/shoal; \
    chown haproxy:haproxy /run/haproxy /var/lib/shoal; \
    chmod 770 /run/haproxy
COPY --from=shoal /usr/bin/shoal /usr/bin/shoal
COPY --from=shoal /usr/share/doc/shoal/ /usr/share/doc/shoal/
COPY haproxy.cfg hold.lua /etc/haproxy/
WORKDIR /var/lib/shoal
USER haproxy
# The admin socket. A volume, so that it can be made under a read-only root too, and keeps its owner.
VOLUME /run/haproxy
EXPOSE 8080/tcp 7946/tcp 7946/udp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 CMD ["/usr/bin/shoal", "health"]
ENTRYPOINT ["/usr/bin/shoal"]
CMD ["sidecar", "--", "haproxy", "-W", "-db", "-f", "/etc/haproxy/haproxy.cfg"]
