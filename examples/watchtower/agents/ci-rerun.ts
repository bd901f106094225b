import { defineAgent, TerminalError } from "murmur"
import { rerunFailed } from "../ci-server.js"
import { FailedRun, IncidentDescribed, RerunStarted } from "../events.js"

/**
 * The hand to that mind. What a model has made of a log written by strangers may be a reason to run a job again, and is no
 * permission: the tool's gate asks a person (`murmur ask`), and the step waits, for ten minutes here, without holding
 * anything.
 */
export default defineAgent("ci-rerun", {
  description: "Asks a person whether a run may run again, and sees to it",
  on: [IncidentDescribed.where(({ data }) => data.mayPassAgain)],
  emits: [RerunStarted],
  tools: [rerunFailed],
  async handle({ data }, ctx) {
    const { provider, repository, runId, jobId, what, branch, commit, kind } = data
    try {
      await ctx.tools.rerunFailed({ provider, repository, runId, jobId, what, branch, commit })
    } catch (error) {
      if (!(error instanceof TerminalError) || error.code !== "TOOL_NOT_APPROVED") throw error
      return ctx.log.info({ repository, runId }, "not run again: nobody allowed it")
    }
    ctx.emit(RerunStarted({ ...FailedRun.parse(data), title: `${what} runs again, the cause was ${kind}` }))
  },
})
