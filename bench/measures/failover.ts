import { createMesh } from "../support/mesh.js"
import { type Distribution, distribution, type Ending, Scene } from "./recovery.js"

export interface FailoverOptions {
  readonly url: string
  /** How many pairs of nodes are at work side by side, each on a mesh of its own: most of a failover is waiting. */
  readonly pairs: number
  /** How often each pair loses its owner. */
  readonly runs: Readonly<Record<Ending, number>>
  readonly say: (line: string) => void
}

/** From the end of the node that owns a key to the next commit of that key by another, in milliseconds. */
export interface Failover {
  /** Of all pairs together. */
  readonly runs: Readonly<Record<Ending, number>>
  readonly by: Readonly<Record<Ending, Distribution>>
}

const WAYS = ["kill", "stop", "drain"] as const

export async function measureFailover({ url, pairs, runs, say }: FailoverOptions): Promise<Failover> {
  const meshes = await Promise.all(Array.from({ length: pairs }, () => createMesh(url)))
  const scenes = meshes.map((mesh) => new Scene(mesh, url))
  try {
    await Promise.all(scenes.map((scene) => scene.start()))
    const by: Partial<Record<Ending, Distribution>> = {}
    for (const how of WAYS) {
      const found = await Promise.all(scenes.map((scene) => scene.replaceOwners(how, runs[how], () => {})))
      by[how] = distribution(found.flat())
      const { p50, p99 } = by[how]
      say(`  ${how}: p50 ${Math.round(p50)} ms, p99 ${Math.round(p99)} ms of ${found.flat().length}`)
    }
    const all = { kill: pairs * runs.kill, stop: pairs * runs.stop, drain: pairs * runs.drain }
    return { runs: all, by: by as Record<Ending, Distribution> }
  } finally {
    await Promise.all(scenes.map((scene) => scene.stop()))
    await Promise.all(meshes.map((mesh) => mesh.remove()))
  }
}
