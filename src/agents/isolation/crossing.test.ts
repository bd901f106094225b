import { AsyncLocalStorage } from "node:async_hooks"
import { describe, expect, test } from "vitest"
import { lab, Task } from "../../../test/fixtures/isolated.js"
import { seal } from "../../bus/encode.js"
import { MeshNames } from "../../bus/subjects.js"
import { RetryableError } from "../../errors.js"
import { type Log, silentLog } from "../../telemetry/ports.js"
import type { HostContext } from "./host-context.js"
import { HostedRun, type WorkerAfter } from "./hosted-run.js"
import type { Call, HostMessage, WorkerMessage } from "./wire.js"
import { serve } from "./worker/serve.js"
import type { WorkerLink } from "./worker-process.js"

/** A worker without a process: messages are copied and delivered later, as between two. */
async function workerHere(): Promise<WorkerLink & { readonly said: WorkerMessage[] }> {
  let hear: (message: HostMessage) => void = () => {}
  const said: WorkerMessage[] = []
  const worker: WorkerLink = {
    listener: undefined,
    post: (message) => later(() => hear(message), message),
  }
  const ready = new Promise<void>((resolve) => {
    worker.listener = { onMessage: ({ kind }) => kind === "ready" && resolve(), onDeath: () => {} }
  })
  const send = (message: WorkerMessage): void => {
    said.push(message)
    later(() => worker.listener?.onMessage(message), message)
  }
  const port = { send, listen: (listener: typeof hear) => (hear = listener) }
  serve(port as never, { load: async () => lab, guard: () => {} })
  worker.post({ kind: "load", agent: "lab", file: "", fingerprint: "", memoryMbMax: 64, nodePid: 0 })
  await ready
  return Object.assign(worker, { said })
}

/** What comes from another process comes in no step's async context. */
const outside = AsyncLocalStorage.snapshot()

/** Also checks that the message can be copied. */
function later(deliver: () => void, message: unknown): void {
  structuredClone(message)
  setImmediate(() => outside(deliver))
}

interface Scene {
  readonly run: Promise<void>
  readonly done: string[]
  readonly abort: AbortController
  readonly after: Promise<WorkerAfter>
  readonly said: WorkerMessage[]
}

type Answers = Partial<Record<string, (what: Call, work: (input?: unknown) => Promise<unknown>) => Promise<unknown>>>

/** Begins a step of the lab, and notes what reaches its context. */
async function begin(what: string, n = 0, answers: Answers = {}): Promise<Scene> {
  const worker = await workerHere()
  const done: string[] = []
  const abort = new AbortController()
  const note = (kind: string, ...facts: unknown[]): void => void done.push([kind, ...facts.map(text)].join(" "))
  const ctx: HostContext = {
    agent: "lab",
    signal: abort.signal,
    log: { ...silentLog, info: (fields, message) => note("log", message, fields) } satisfies Log,
    record: (name, data) => note("record", name, data),
    emit: ({ type, data }) => note("emit", type, data),
    reply: (output) => note("reply", output),
    hold: () => {
      note("hold")
      return () => note("release")
    },
    call: async (call, work) => {
      const answer = answers[call.method]
      if (answer !== undefined) return answer(call, work)
      note(call.method, ...(call.method === "run" ? [call.name] : []))
      return call.method === "run" ? work() : new Promise(() => {})
    },
  }
  const draft = { ...Task({ do: what, n }), extensions: { baggage: "tenant=acme" } }
  const event = { ...seal(draft, { mesh: "test", producer: "cli" }, "e1"), seq: 1 }
  let tell: (after: WorkerAfter) => void = () => {}
  const after = new Promise<WorkerAfter>((resolve) => {
    tell = resolve
  })
  const facts = {
    key: event.key,
    attempt: 2,
    now: 5,
    state: { seen: 3 },
    previousAttempt: undefined,
    mind: { windowTokens: 8_192 },
    llm: NO_MODEL,
  }
  const run = new HostedRun(worker, ctx, tell).handle(event, facts)
  run.catch(() => {})
  return { run, done, abort, after, said: worker.said }
}

const NO_MODEL = { model: undefined, options: {} }

const text = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value))

describe("a step in a worker", () => {
  test("reads its context, calls through the node, and leaves what it did when it returns", async () => {
    const { run, done, after } = await begin("everything")
    await run
    expect(await after).toBe("free")
    const emitted = JSON.parse(done.at(-1)?.slice("emit lab.done ".length) ?? "")
    expect(done.slice(0, -1)).toEqual([
      'log begun {"n":0,"error":{"code":"TOLD","name":"TerminalError"}}',
      "run first",
      "run a",
      "run b",
      'record Seen {"by":2}',
    ])
    expect(emitted.what).toEqual({
      agent: "lab",
      key: "everything 0",
      attempt: 2,
      state: { seen: 5 },
      baggage: { tenant: "acme" },
      now: new Date(5).toISOString(),
      random: [expect.any(Number), expect.any(Number)],
      first: { pid: process.pid },
      both: ["A", "B"],
    })
  })

  test("makes its calls in the async context of its step, so that spans have their parent", async () => {
    const active = new AsyncLocalStorage<string>()
    const seen: unknown[] = []
    const run = async (_: unknown, work: () => Promise<unknown>): Promise<unknown> => {
      seen.push(active.getStore())
      return work()
    }
    await active.run("span", async () => (await begin("everything", 0, { run })).run)
    expect(seen).toEqual(["span", "span", "span"])
  })

  test("is given recorded answers without doing the work again", async () => {
    const { run, done } = await begin("everything", 0, {
      run: async (what) => `recorded ${(what as { name: string }).name}`,
    })
    await run
    expect(done.at(-1)).toContain('"first":"recorded first","both":["recorded a","recorded b"]')
  })

  test("catches its own error class where its own function threw it", async () => {
    const { run, done } = await begin("own error")
    await run
    expect(done).toContain('emit lab.done {"what":{"same":true,"own":true}}')
  })

  test.each([
    ["retryable", { name: "RetryableError", code: "BUSY", retryAfterMs: 77, cause: { message: "below" } }],
    ["terminal", { name: "TerminalError", code: "NO" }],
    ["plain error", { name: "RangeError", code: "EOUT", message: "out of it" }],
    ["undeclared", { code: "EMIT_UNDECLARED" }],
    ["wrong entry", { code: "STATE_ENTRY" }],
  ])("fails as its handler does, and emits nothing: %s", async (what, error) => {
    const { run, done, after } = await begin(what)
    await expect(run).rejects.toMatchObject(error)
    expect(await after).toBe("free")
    expect(done).toEqual([])
  })

  test("fails with the very error that the node threw", async () => {
    const refused = Object.assign(new Error("taken over"), { code: "STEP_TAKEN_OVER" })
    const { run } = await begin("everything", 0, { run: () => Promise.reject(refused) })
    expect(await run.catch((error: unknown) => error)).toBe(refused)
  })

  test("may be suspended only when its handler does nothing but wait", async () => {
    const { done, abort, after } = await begin("sleep beside work", 50)
    await expect.poll(() => done.at(-1)).toBe("release")
    expect(done).toEqual(["hold", "sleep", "run one", "run two", "release"])
    abort.abort(new Error("suspended"))
    expect(await after).toBe("free")
  })

  test("goes on after a wait that is over, and holds the step until it says that it waits again", async () => {
    const { run, done, after } = await begin("sleep", 50, { sleep: async () => undefined })
    await run
    expect(await after).toBe("free")
    expect(done).toEqual(["hold", "release", 'emit lab.done {"what":"slept"}'])
  })

  test("that is aborted ends its handler by the signal and frees its worker; nobody hears of it", async () => {
    const { run, done, abort, after } = await begin("wait")
    let settled = false
    run.then(() => (settled = true)).catch(() => (settled = true))
    abort.abort(new Error("time is up"))
    expect(await after).toBe("free")
    await new Promise((resolve) => setImmediate(resolve))
    expect({ settled, done }).toEqual({ settled: false, done: [] })
  })

  test("that is suspended in a call is left where it stands: its handler does not go on, not even to catch", async () => {
    const { done, abort, after } = await begin("own error", 0, { run: () => new Promise(() => {}) })
    abort.abort(new RetryableError("its run is over", { code: "STEP_SUSPENDED" }))
    expect(await after).toBe("free")
    expect(done).toEqual([])
  })

  test("that does not end when it is aborted gives its worker up", async () => {
    const { abort, after } = await begin("deaf")
    abort.abort(new Error("time is up"))
    expect(await after).toBe("spent")
  })
})

test("what cannot be copied to a worker is an error that says so, and costs no worker", async () => {
  const worker = await workerHere()
  const ctx = { signal: new AbortController().signal } as HostContext
  const event = {
    ...seal(Task({ do: "nothing", n: 0 }), { mesh: new MeshNames("test").mesh, producer: "cli" }),
    seq: 1,
  }
  const after: WorkerAfter[] = []
  const facts = {
    key: "k",
    attempt: 1,
    now: 0,
    state: { open: () => {} },
    previousAttempt: undefined,
    mind: { windowTokens: 8_192 },
    llm: NO_MODEL,
  }
  const run = new HostedRun(worker, ctx, (what) => after.push(what)).handle(event, facts)
  await expect(run).rejects.toMatchObject({ name: "TerminalError", code: "AGENT_ISOLATION" })
  expect(after).toEqual(["free"])
})
