# A task: your server's image, and shoal's program as its entry.
#   docker build -f packaging/compose/worker.Dockerfile -t shoal-worker packaging
ARG SHOAL=shoal
FROM ${SHOAL} AS shoal

FROM python:3-slim
COPY --from=shoal /usr/bin/shoal /usr/bin/shoal
COPY --from=shoal /usr/share/doc/shoal/ /usr/share/doc/shoal/
COPY examples/python/server.py /app/
USER 65532:65532
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 CMD ["/usr/bin/shoal", "health"]
ENTRYPOINT ["/usr/bin/shoal"]
CMD ["task", "--", "python3", "/app/server.py"]
