import { createHash } from "node:crypto"
import { setTimeout as sleep } from "node:timers/promises"
import definitions from "@octokit/webhooks-examples" with { type: "json" }
import { CiJobCompleted, CiRunCompleted, defineSource, mapGithub } from "murmur"

/** One delivery of GitHub, some seconds after the one before. */
interface Delivery {
  readonly afterMs: number
  readonly event: "workflow_run" | "workflow_job"
  /** Which of the real payloads that were sent when something was completed. */
  readonly nth: number
  /** What is changed in it. Nobody has contributed a failed run yet, so two of them are made to fail. */
  readonly as?: Readonly<Record<string, unknown>>
}

const DELIVERIES: readonly Delivery[] = [
  { afterMs: 1_000, event: "workflow_job", nth: 0 }, // linters, failed at a step
  { afterMs: 4_000, event: "workflow_run", nth: 1 }, // passed
  { afterMs: 4_000, event: "workflow_run", nth: 2, as: { conclusion: "timed_out", head_branch: "renovate/node" } },
  { afterMs: 4_000, event: "workflow_job", nth: 1 }, // the same linters on the same commit, passed
  { afterMs: 8_000, event: "workflow_run", nth: 0, as: { conclusion: "failure" } },
  { afterMs: 8_000, event: "workflow_run", nth: 0, as: { conclusion: "success", run_attempt: 2 } },
]
const PAUSE_MS = 20_000

/**
 * Real payloads of GitHub's webhooks, from the package in which GitHub's users collect them, through the same mapping as
 * `POST /hooks/github`. Every start and every round is a new pass: other run ids, other commits, now.
 */
export default defineSource("ci-replay", {
  description: "Replays real webhook deliveries of GitHub",
  emits: [CiRunCompleted, CiJobCompleted],
  async run({ state, publish, signal }) {
    const wait = (ms: number): Promise<unknown> => sleep(ms, undefined, { signal }).catch(() => {})
    while (!signal.aborted) {
      const pass = ((await state.get<number>("pass")) ?? 0) + 1
      await state.put("pass", pass)
      for (const [at, delivery] of DELIVERIES.entries()) {
        await wait(delivery.afterMs)
        if (signal.aborted) return
        const [draft] = mapGithub(delivery.event, payloadOf(delivery, pass))
        // A given id makes the publish idempotent: the same delivery twice is one event.
        if (draft !== undefined) await publish({ ...draft, id: `ci-replay-${pass}-${at + 1}` })
      }
      await wait(PAUSE_MS)
    }
  },
})

interface Payload {
  readonly action: string
  readonly [field: string]: unknown
}

function payloadOf({ event, nth, as }: Delivery, pass: number): Payload {
  const all = definitions as unknown as readonly { readonly name: string; readonly examples: readonly Payload[] }[]
  const completed = all.find(({ name }) => name === event)?.examples.filter(({ action }) => action === "completed")
  const payload = completed?.[nth]
  if (payload === undefined) throw new Error(`@octokit/webhooks-examples has no ${event} number ${nth} any more`)
  const run = payload[event] as Readonly<Record<string, unknown>>
  const now = new Date().toISOString()
  const ofThisPass = {
    id: `${String(run.id)}-${pass}`,
    head_sha: commitOf(String(run.head_sha), pass, String(as?.head_branch ?? "")),
    ...(event === "workflow_job" && { run_id: `${String(run.run_id)}-${pass}`, completed_at: now }),
    ...(event === "workflow_run" && { updated_at: now }),
  }
  return { ...payload, [event]: { ...run, ...ofThisPass, ...as } }
}

/** Another commit in each pass and on each branch, so that one round is not taken for a re-run of the one before. */
function commitOf(original: string, pass: number, branch: string): string {
  return createHash("sha1").update(`${original} ${pass} ${branch}`).digest("hex")
}
