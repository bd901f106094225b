# A server from a local image of nothing else, with what the official image has besides: a wget for the health check.
ARG NATS_IMAGE
ARG NODE_IMAGE
FROM ${NATS_IMAGE} AS nats
FROM ${NODE_IMAGE}
COPY --from=nats /nats-server /usr/local/bin/nats-server
COPY wget.mjs /usr/local/bin/wget
ENTRYPOINT ["/usr/local/bin/nats-server"]
