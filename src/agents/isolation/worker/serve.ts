import { ensureError } from "../../../errors.js"
import type { AgentDefinition } from "../../define-agent.js"
import { encodeError } from "../error-crossing.js"
import type { HostMessage, LoadMessage, WorkerMessage } from "../wire.js"
import { type HandlerAgent, RemoteRun } from "./remote-run.js"

/** The way to the node. */
export interface NodePort {
  send(message: WorkerMessage): void
  listen(hear: (message: HostMessage) => void): void
}

/** What the program of a worker does before and around its steps. */
export interface WorkerProgram {
  /** Loads the agent as the node does. */
  load(message: LoadMessage): Promise<AgentDefinition>
  /** Sees to it that the worker ends when it takes too much, or when its node is gone. */
  guard(message: LoadMessage): void
}

/** The life of a worker: loads its agent, then takes step after step until it is ended. */
export function serve(port: NodePort, program: WorkerProgram): void {
  let agent: HandlerAgent | undefined
  let current: RemoteRun | undefined

  const load = async (message: LoadMessage): Promise<void> => {
    try {
      agent = handlerOf(await program.load(message))
      program.guard(message)
      port.send({ kind: "ready" })
    } catch (thrown) {
      port.send({ kind: "unfit", error: encodeError(ensureError(thrown)) })
    }
  }

  port.listen((message) => {
    if (message.kind === "load") {
      void load(message)
    } else if (message.kind === "begin") {
      if (agent === undefined) return // a node waits for "ready"
      current = new RemoteRun(message.run, agent, port.send)
      void current.handle(message.event, message.facts)
    } else if (current?.run === message.run) {
      if (message.kind === "answer") current.answer(message.call, message.answer)
      else if (message.kind === "work") current.work(message.call, message.input)
      else current.abort(message.error)
    }
  })
}

function handlerOf(agent: AgentDefinition): HandlerAgent {
  const { behaviour } = agent
  if (behaviour.kind === "handle") return { ...agent, behaviour }
  throw new Error(`agent "${agent.name}" has no handler`)
}
