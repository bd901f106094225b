import { ensureError } from "../errors.js"
import type { Log } from "../telemetry/ports.js"
import type { Hosted } from "./hosted.js"
import { isCode, type Loader } from "./loader.js"
import type { MurmurNode } from "./node.js"

const SETTLE_MS = 100

/**
 * Follows the files of a node and swaps edited code in. An edit that does not load leaves the running code as it is.
 *
 * @returns stops watching
 */
export async function watchFiles(
  loader: Pick<Loader, "roots"> & { load(): Promise<Hosted> },
  node: MurmurNode,
  log: Log,
): Promise<() => Promise<void>> {
  const { watch } = await import("chokidar")
  const watcher = watch(loader.roots(), {
    ignoreInitial: true,
    ignored: /(^|[\\/])(\.[^\\/]+|node_modules|dist)([\\/]|$)/,
  })
  let timer: NodeJS.Timeout | undefined
  let swapping = Promise.resolve()
  const swap = async (): Promise<void> => {
    try {
      const loaded = await loader.load()
      await node.replace(loaded)
      log.info({ agents: loaded.agents.map(({ name }) => name) }, "swapped edited code in")
    } catch (thrown) {
      log.error({ error: ensureError(thrown) }, "cannot swap edited code in; what ran before goes on")
    }
  }
  watcher.on("all", (_kind, file) => {
    if (!isCode(file)) return
    clearTimeout(timer)
    timer = setTimeout(() => {
      swapping = swapping.then(swap)
    }, SETTLE_MS)
  })
  await new Promise<void>((ready) => {
    watcher.once("ready", () => ready())
  })
  return async () => {
    clearTimeout(timer)
    await watcher.close()
    await swapping
  }
}
