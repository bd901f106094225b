import { existsSync, readFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"

/**
 * How the version of the agents' code is called, so that a rolling update can be watched: what the environment says
 * (`MURMUR_CODE_VERSION`: a git sha, an image tag), else the version in the nearest `package.json` of the first path.
 */
export function codeVersionOf(paths: readonly string[], env: NodeJS.ProcessEnv): string | undefined {
  if (env.MURMUR_CODE_VERSION) return env.MURMUR_CODE_VERSION
  const [first] = paths
  return first === undefined ? undefined : packageVersion(resolve(first))
}

function packageVersion(path: string): string | undefined {
  const file = join(path, "package.json")
  if (existsSync(file)) return versionIn(file)
  const above = dirname(path)
  return above === path ? undefined : packageVersion(above)
}

/** A file that is no JSON is not for this to complain about. */
function versionIn(file: string): string | undefined {
  try {
    const { version } = JSON.parse(readFileSync(file, "utf8")) as { version?: unknown }
    return typeof version === "string" && version !== "" ? version : undefined
  } catch {
    return undefined
  }
}
