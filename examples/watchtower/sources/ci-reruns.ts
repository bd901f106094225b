import { mkdir, readdir, readFile, rm } from "node:fs/promises"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { CiRunCompleted, defineSource } from "murmur"
import { RERUNS } from "../folders.js"

const LOOK_EVERY_MS = 500

/** Stands in for a CI server that has run something again: this time it passes. */
export default defineSource("ci-reruns", {
  description: "Ends the runs that were let run again",
  emits: [CiRunCompleted],
  async run({ publish, signal }) {
    await mkdir(RERUNS, { recursive: true })
    while (!signal.aborted) {
      for (const file of (await readdir(RERUNS)).filter((name) => name.endsWith(".json"))) {
        const path = join(RERUNS, file)
        const { provider, repository, runId, what, branch, commit } = JSON.parse(await readFile(path, "utf8"))
        const run = { provider, repository, runId, workflow: what, branch, commit, attempt: 2 }
        await publish({ ...CiRunCompleted({ ...run, conclusion: "success" }), id: `ci-rerun-${file}` })
        await rm(path)
      }
      await sleep(LOOK_EVERY_MS, undefined, { signal }).catch(() => {})
    }
  },
})
