import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createMesh } from "../support/mesh.js"
import { type HotSpot, hotSpots } from "../support/profile.js"
import { startVariant, type Variant } from "./variants.js"

/** Where the loop of a variant spends its time. The profiler slows it down; its rate does not count. */
export async function profileVariant(
  variant: Variant,
  options: { readonly url: string; readonly otlpUrl: string; readonly events: number; readonly count: number },
): Promise<HotSpot[]> {
  const { url, otlpUrl, events, count } = options
  const mesh = await createMesh(url, events)
  const dir = mkdtempSync(join(tmpdir(), "murmur-bench-"))
  const nodeOptions = ["--cpu-prof", `--cpu-prof-dir=${dir}`]
  const child = startVariant(variant, { url, mesh: mesh.name, events, warmup: 1_000 }, { otlpUrl, nodeOptions })
  try {
    await child.next() // ready
    await child.next() // done
    await child.stop()
    const [file] = readdirSync(dir)
    return file === undefined ? [] : hotSpots(join(dir, file), count)
  } finally {
    await child.stop()
    await mesh.remove()
    rmSync(dir, { recursive: true, force: true })
  }
}
