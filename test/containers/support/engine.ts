import { describe } from "vitest"

/** What scripts/containers.mjs has made ready for the tests with containers. */
export interface Engine {
  /** `user`: the engine of this machine; `private`: one for these tests alone, without a way to the outside. */
  readonly kind: "user" | "private"
  /** Image with Node and npm: what the image of murmur is built on. */
  readonly nodeImage: string
  /** Image whose entry point is a nats-server: arguments are its options. */
  readonly natsImage: string
  /** For `docker build --network`: where a build finds npm's registry. */
  readonly buildNetwork: string
}

const { MURMUR_CONTAINERS: kind, ...env } = process.env

const found: Engine | undefined =
  kind === "user" || kind === "private"
    ? {
        kind,
        nodeImage: named("MURMUR_CONTAINERS_NODE_IMAGE"),
        natsImage: named("MURMUR_CONTAINERS_NATS_IMAGE"),
        buildNetwork: named("MURMUR_CONTAINERS_BUILD_NETWORK"),
      }
    : undefined

function named(variable: string): string {
  const value = env[variable]
  if (value) return value
  throw new Error(`${variable} is not set: run the tests with containers by "npm run test:containers"`)
}

/** The engine. @throws Error when there is none: use it in tests below {@link describeWithContainers} only */
export function engine(): Engine {
  if (found !== undefined) return found
  throw new Error('There is no Docker engine for this test: run it by "npm run test:containers"')
}

/** Like `describe`; its tests are skipped where scripts/containers.mjs found no engine, or did not start them. */
export const describeWithContainers = describe.skipIf(found === undefined)
