import { mkdir, readFile, rename, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { defineTool, TerminalError } from "murmur"
import { z } from "zod"
import { LOGS, RERUNS } from "./folders.js"

/*
 * What agents may do at a CI server. With GITHUB_TOKEN set it is GitHub, for runs that came by its webhooks; for the
 * replayed ones, and without a token, the example's own files stand in for it.
 */

const LOG_BYTES = 24 * 1024
const api = (): string => process.env.GITHUB_API_URL ?? "https://api.github.com"

const Run = z.object({ provider: z.string(), repository: z.string(), runId: z.string(), jobId: z.string().optional() })

export const readLog = defineTool({
  name: "readLog",
  description: "Reads the end of the log of a run that failed",
  input: Run.extend({ conclusion: z.string(), failedStep: z.string().optional() }),
  output: z.string(),
  effect: "read",
  untrusted: true, // whoever can open a pull request can write into it
  async run(run, { signal }) {
    if (isOurs(run)) return readFile(join(LOGS, standIn(run)), "utf8")
    const jobId = run.jobId ?? (await failedJob(run, signal))
    const log = await (await github(`repos/${run.repository}/actions/jobs/${number(jobId)}/logs`, signal)).text()
    return log.slice(-LOG_BYTES)
  },
})

/** Lets what has failed run once more. It costs money and can deploy things: a person has to allow each call. */
export const rerunFailed = defineTool({
  name: "rerunFailed",
  description: "Lets the failed jobs of a run run again",
  input: Run.extend({ what: z.string(), commit: z.string().optional(), branch: z.string().optional() }),
  effect: "irreversible",
  approval: "always",
  askTimeoutMs: 10 * 60_000,
  async run(run, { idempotencyKey, signal }) {
    if (!isOurs(run)) {
      await github(`repos/${run.repository}/actions/runs/${number(run.runId)}/rerun-failed-jobs`, signal, "POST")
      return
    }
    await mkdir(RERUNS, { recursive: true })
    const file = join(RERUNS, idempotencyKey.replace(/[^\w-]/g, ""))
    await writeFile(file, JSON.stringify(run))
    await rename(file, `${file}.json`) // nobody finds half of it
  },
})

/** Runs of the replay have ids such as `12345-3`, which no server of GitHub has. */
function isOurs({ provider, runId }: z.infer<typeof Run>): boolean {
  return !process.env.GITHUB_TOKEN || provider !== "github" || !/^\d+$/.test(runId)
}

function standIn({ conclusion, failedStep }: { conclusion: string; failedStep?: string | undefined }): string {
  if (conclusion === "timed_out") return "timed-out.txt"
  return failedStep?.includes("format") ? "format-check.txt" : "tests.txt"
}

async function failedJob({ repository, runId }: z.infer<typeof Run>, signal: AbortSignal): Promise<string> {
  const response = await github(`repos/${repository}/actions/runs/${number(runId)}/jobs`, signal)
  const { jobs } = (await response.json()) as { jobs: readonly { readonly id: number; readonly conclusion: string }[] }
  return String(jobs.find(({ conclusion }) => conclusion === "failure")?.id ?? jobs[0]?.id)
}

/** The names in the path came with an event, so they are looked at before they become part of an address. */
async function github(path: string, signal: AbortSignal, method = "GET"): Promise<Response> {
  if (!/^repos\/[\w-][\w.-]*\/[\w-][\w.-]*\/actions\/[\w/-]+$/.test(path)) refuse(`"${path}" is no address of a run`)
  const headers = { authorization: `Bearer ${process.env.GITHUB_TOKEN}`, accept: "application/vnd.github+json" }
  const response = await fetch(`${api()}/${path}`, { method, headers, signal })
  if (response.status >= 500) throw new Error(`GitHub answers ${response.status} to ${method} ${path}`)
  if (!response.ok) refuse(`it answers ${response.status} to ${method} ${path}`)
  return response
}

function number(id: string): string {
  return /^\d+$/.test(id) ? id : refuse(`"${id}" is no number of a run or job`)
}

function refuse(why: string): never {
  throw new TerminalError(`Cannot ask GitHub: ${why}`, { code: "CI_SERVER" })
}
