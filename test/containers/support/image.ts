import { resolve } from "node:path"
import { mustDocker } from "./docker.js"
import { engine } from "./engine.js"

const root = resolve(import.meta.dirname, "../../..")
/** Most of it is npm; later builds take what has not changed from the engine's cache. */
const BUILD_MS = 900_000

/** The image of murmur that the tests use. */
export const IMAGE = "murmur/murmur:test"

/**
 * Builds the image of this very source, as users do. What has not changed since another test file did so is taken from
 * the engine's cache.
 */
export async function buildImage(): Promise<string> {
  const { nodeImage, buildNetwork } = engine()
  const options = ["--quiet", "--network", buildNetwork, "--build-arg", `NODE_IMAGE=${nodeImage}`]
  await mustDocker(["build", ...options, "--file", "deploy/Dockerfile", "--tag", IMAGE, "."], {
    cwd: root,
    timeoutMs: BUILD_MS,
  })
  return IMAGE
}
