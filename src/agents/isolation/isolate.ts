import type { MurmurEvent } from "../../bus/event.js"
import { MurmurError } from "../../errors.js"
import type { AgentDefinition } from "../define-agent.js"
import { llmDefaults } from "../llm/step-llm.js"
import { deployedMind } from "../minds/mindful-context.js"
import { type HoldableContext, hostContext } from "./host-context.js"
import { HostedRun } from "./hosted-run.js"
import { originOf } from "./origin.js"
import { WorkerPool, workersMax } from "./pool.js"
import type { WorkerProcess } from "./worker-process.js"

/** A handler whose steps run in workers. */
export interface IsolatedHandler {
  /** How many steps can run at a time: more would wait for a worker while their time runs out. */
  readonly concurrency: number
  /** Process ids of its workers. */
  readonly pids: readonly number[]
  /**
   * Runs one step. Never settles once `ctx.signal` is aborted.
   *
   * @throws what the handler throws; RetryableError `STEP_MEMORY`, `STEP_EXITED`, `STEP_CRASHED`, `AGENT_ISOLATION`
   */
  handle(event: MurmurEvent, ctx: HoldableContext): Promise<void>
  /** Ends its workers, whatever runs in them. */
  stop(): Promise<void>
}

/**
 * Makes workers for an agent. A worker is a process that loads the agent's file once more: whatever its handler does,
 * the node goes on.
 *
 * @throws MurmurError `AGENT_ISOLATION` when the agent was not loaded from a file
 */
export function isolate(agent: AgentDefinition): IsolatedHandler {
  const { name, memoryMbMax } = agent
  const origin = originOf(agent)
  if (origin === undefined) {
    throw new MurmurError(
      `Cannot run agent "${name}" with isolation "worker": a worker loads the agent from its file, and this one was made in code. Start it with murmur up <file>, or leave "isolation" out`,
      { code: "AGENT_ISOLATION", details: { agent: name } },
    )
  }
  const concurrency = workersMax(agent.concurrency)
  const pool = new WorkerPool({ agent: name, origin, memoryMbMax }, concurrency)
  return {
    concurrency,
    get pids() {
      return pool.pids
    },
    handle: async (event, ctx) => {
      const startTime = ctx.untimed() // a worker may have to be started
      const worker = await livingWorker(pool, ctx.signal)
      startTime()
      const run = new HostedRun(worker, hostContext(ctx, agent.tools), (after) => {
        if (after === "free") pool.release(worker)
        else pool.discard(worker)
      })
      return run.handle(event, {
        key: ctx.key,
        attempt: ctx.attempt,
        now: ctx.now().getTime(),
        state: agent.state === undefined ? undefined : ctx.whole,
        previousAttempt: ctx.previousAttempt,
        llm: llmDefaults(agent, ctx.core.ports.minds),
        mind: deployedMind(agent, ctx.core.ports.minds),
      })
    },
    stop: () => pool.stop(),
  }
}

/** A free worker can end in the moment in which it is taken. */
async function livingWorker(pool: WorkerPool, signal: AbortSignal): Promise<WorkerProcess> {
  for (;;) {
    const worker = await pool.acquire(signal)
    if (!worker.dead && !signal.aborted) return worker
    pool.release(worker)
  }
}

type HandlerAgent = AgentDefinition & { behaviour: { kind: "handle" } }

/** The agent with its workers in the place of its handler. */
export function inWorkers(agent: HandlerAgent, workers: IsolatedHandler): HandlerAgent {
  return {
    ...agent,
    behaviour: { kind: "handle", handle: (event, ctx) => workers.handle(event, ctx as HoldableContext) },
  }
}
