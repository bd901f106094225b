import { isEventDefinition } from "../bus/define-event.js"
import { MurmurError } from "../errors.js"
import { type Labels, labelProblem } from "../router/labels.js"
import type { AgentDefinition, AgentOptions, AgentState, SupervisionOptions } from "./define-agent.js"
import { checkMind, type GivenMind } from "./mind-options.js"
import { composeState } from "./minds/history/compose.js"
import { isTool } from "./tools/define-tool.js"
import type { AnyTool } from "./tools/tool.js"

const KNOWN = new Set([
  "on",
  "emits",
  "handle",
  "react",
  "description",
  "concurrency",
  "partitions",
  "nodeSelector",
  "ordering",
  "inflightMax",
  "from",
  "retry",
  "stepTimeoutMs",
  "hopsMax",
  "cyclesWarn",
  "cyclesMax",
  "window",
  "horizonMs",
  "state",
  "supervision",
  "isolation",
  "memoryMbMax",
  "tools",
  "model",
  "llm",
  "input",
  "output",
  "instructions",
  "asks",
  "delegates",
  "history",
])

/** What a timer can wait for; a longer one would fire at once. */
const TIMER_MS_MAX = 2 ** 31 - 1

/** murmur itself takes some 20 MiB of a worker's heap. */
const MEMORY_MB_MIN = 48
const MEMORY_MB_MAX = 1_048_576

type GivenState = Partial<AgentState> & Pick<AgentState, "initial" | "evolve">

interface IsolationOptions {
  readonly isolation?: "none" | "worker"
  readonly memoryMbMax?: number
}

type Checked = Omit<AgentDefinition, "name" | "triggers" | "emits" | "behaviour" | "code">

/** Checks every option that an agent was given and fills in the defaults. @throws MurmurError `AGENT_OPTION` */
export function checkOptions(
  agent: string,
  options: AgentOptions & {
    handle?: unknown
    react?: unknown
    state?: object
    supervision?: SupervisionOptions
    ordering?: "key" | "none"
    tools?: unknown
  } & IsolationOptions &
    GivenMind,
): Checked {
  const fail = (why: string): never => {
    throw new MurmurError(`Cannot create agent "${agent}": ${why}`, { code: "AGENT_OPTION", details: { agent } })
  }
  const atLeast = (option: string, value: number, least: number): number => {
    if (Number.isSafeInteger(value) && value >= least) return value
    return fail(`${option} must be an integer >= ${least}, is ${String(value)}`)
  }
  const atMost = (option: string, value: number, most: number): number => {
    if (value <= most) return value
    return fail(`${option} must be an integer <= ${most}, is ${value}`)
  }
  const known = (option: string, value: object, names: readonly string[]): void => {
    for (const name of Object.keys(value)) {
      if (!names.includes(name)) fail(`unknown option "${option}.${name}" (known: ${names.join(", ")})`)
    }
  }

  if (typeof options !== "object" || options === null) fail(`its options must be an object, are ${String(options)}`)
  for (const option of Object.keys(options)) {
    if (!KNOWN.has(option)) fail(`unknown option "${option}" (known: ${[...KNOWN].join(", ")})`)
  }
  if (!Array.isArray(options.on) || (options.on.length === 0 && options.input === undefined)) {
    fail(`"on" must name at least one event`)
  }
  for (const option of ["handle", "react"] as const) {
    const given = options[option]
    if (given !== undefined && typeof given !== "function") fail(`"${option}" must be a function, is ${typeof given}`)
  }
  const reactions = [options.handle, options.react, options.instructions].filter((reaction) => reaction !== undefined)
  if (reactions.length !== 1) {
    fail(`it needs exactly one of "handle", "react" and "instructions", has ${reactions.length}`)
  }
  const steps = typeof options.react !== "function"
  if (options.emits !== undefined && !Array.isArray(options.emits)) {
    fail(`"emits" must be a list of events, is ${typeof options.emits}`)
  }
  for (const event of options.emits ?? []) {
    if (!isEventDefinition(event)) fail(`"emits" takes events made by defineEvent, has ${String(event)}`)
  }

  const partitions = options.partitions ?? 1
  if (![1, 8, 64].includes(partitions)) fail(`partitions must be 1, 8 or 64, is ${String(partitions)}`)
  const ordering = options.ordering ?? "key"
  if (ordering !== "key" && ordering !== "none") {
    fail(`ordering must be "key" or "none", is ${JSON.stringify(ordering)}`)
  }
  if (ordering === "none" && partitions !== 1) {
    fail(`partitions must be 1 with ordering "none", which spreads events over all nodes anyway; is ${partitions}`)
  }
  if (options.ordering !== undefined && !steps) {
    fail(`"ordering" goes with "handle", not with "react"`)
  }
  const from = options.from ?? "now"
  if (from !== "now" && from !== "start" && !(from instanceof Date && !Number.isNaN(from.getTime()))) {
    fail(`from must be "now", "start" or a valid Date, is ${String(from)}`)
  }
  const retry = options.retry ?? {}
  known("retry", retry, ["attempts", "backoffMs", "backoffMsMax"])
  const supervision = checkSupervision(options.supervision ?? {})
  if (options.supervision !== undefined && !steps) {
    fail(`"supervision" goes with "handle", not with "react"`)
  }
  const window = options.window ?? {}
  known("window", window, ["latenessMs", "idleTimeoutMs", "openEventsMax"])

  const mind = checkMind(agent, options, fail)
  const own = options.state === undefined ? undefined : checkState(options.state as GivenState)
  const state = mind.history === undefined ? own : checkState(composeState(agent, options.state as never) as GivenState)
  if (state !== undefined && !steps) fail(`"state" goes with "handle", not with "react"`)

  function checkTools(given: unknown): readonly AnyTool[] {
    if (!Array.isArray(given)) return fail(`"tools" must be a list of tools, is ${typeof given}`)
    if (options.tools !== undefined && !steps) {
      fail(`"tools" goes with "handle", not with "react"`)
    }
    const names = new Set<string>()
    for (const tool of given) {
      if (!isTool(tool)) return fail(`"tools" takes tools made by defineTool, has ${String(tool)}`)
      if (names.has(tool.name)) fail(`two of its tools have the name "${tool.name}"`)
      names.add(tool.name)
    }
    return [...given]
  }

  function checkIsolation(given: IsolationOptions): Required<IsolationOptions> {
    const { isolation = "none" } = given
    if (isolation !== "none" && isolation !== "worker") {
      fail(`isolation must be "none" or "worker", is ${JSON.stringify(isolation)}`)
    }
    for (const option of ["isolation", "memoryMbMax"] as const) {
      const given = options[option] !== undefined
      if (given && !steps) fail(`"${option}" goes with "handle", not with "react"`)
    }
    if (given.memoryMbMax !== undefined && isolation !== "worker") fail(`"memoryMbMax" goes with isolation "worker"`)
    const memoryMbMax = atLeast("memoryMbMax", given.memoryMbMax ?? 256, MEMORY_MB_MIN)
    return { isolation, memoryMbMax: atMost("memoryMbMax", memoryMbMax, MEMORY_MB_MAX) }
  }

  function checkSupervision(given: SupervisionOptions): Required<SupervisionOptions> {
    known("supervision", given, ["intensity", "withinMs", "quarantineMs", "quarantineMsMax"])
    const quarantineMs = atLeast("supervision.quarantineMs", given.quarantineMs ?? 30_000, 1)
    const quarantineMsMax = given.quarantineMsMax ?? Math.max(600_000, quarantineMs)
    return {
      intensity: atLeast("supervision.intensity", given.intensity ?? 5, 1),
      withinMs: atLeast("supervision.withinMs", given.withinMs ?? 60_000, 1),
      quarantineMs,
      quarantineMsMax: atLeast("supervision.quarantineMsMax", quarantineMsMax, quarantineMs),
    }
  }

  function checkNodeSelector(given: Labels): Labels {
    if (typeof given !== "object" || given === null)
      fail(`nodeSelector must be an object of labels, is ${String(given)}`)
    for (const [key, value] of Object.entries(given)) {
      const problem = labelProblem(key, value)
      if (problem !== undefined) fail(`nodeSelector: ${problem}`)
    }
    return { ...given }
  }

  function checkState(given: GivenState): AgentState {
    known("state", given, ["initial", "evolve", "version", "snapshotEvery", "keepCommits", "migrate", "warmBytesMax"])
    if (typeof given.evolve !== "object" || given.evolve === null || Object.keys(given.evolve).length === 0) {
      fail(`state.evolve must be an object with a function for each kind of entry, is ${String(given.evolve)}`)
    }
    for (const [entry, step] of Object.entries(given.evolve)) {
      if (typeof step !== "function") fail(`state.evolve.${entry} must be a function, is ${String(step)}`)
    }
    if (!("initial" in given)) fail(`state.initial is missing: the state of a session that has no log yet`)
    if (given.migrate !== undefined && typeof given.migrate !== "function") {
      fail(`state.migrate must be a function, is ${String(given.migrate)}`)
    }
    return {
      initial: given.initial,
      evolve: given.evolve,
      version: atLeast("state.version", given.version ?? 1, 1),
      snapshotEvery: atLeast("state.snapshotEvery", given.snapshotEvery ?? 200, 1),
      keepCommits:
        given.keepCommits === undefined ? Number.POSITIVE_INFINITY : atLeast("state.keepCommits", given.keepCommits, 0),
      migrate: given.migrate,
      warmBytesMax: atLeast("state.warmBytesMax", given.warmBytesMax ?? 64 * 1024 * 1024, 0),
    }
  }

  return {
    state,
    supervision,
    tools: checkTools(options.tools ?? []),
    ...mind,
    ...checkIsolation(options),
    description: options.description,
    partitions,
    nodeSelector: checkNodeSelector(options.nodeSelector ?? {}),
    ordering,
    from,
    concurrency: atLeast("concurrency", options.concurrency ?? 64, 1),
    inflightMax: atLeast("inflightMax", options.inflightMax ?? 1_000, 1),
    stepTimeoutMs: atMost("stepTimeoutMs", atLeast("stepTimeoutMs", options.stepTimeoutMs ?? 600_000, 1), TIMER_MS_MAX),
    hopsMax: atLeast("hopsMax", options.hopsMax ?? 16, 0),
    cyclesWarn: atLeast("cyclesWarn", options.cyclesWarn ?? 3, 1),
    cyclesMax: atLeast("cyclesMax", options.cyclesMax ?? 8, 0),
    horizonMs: atLeast("horizonMs", options.horizonMs ?? 0, 0),
    retry: {
      attempts: atLeast("retry.attempts", retry.attempts ?? 5, 1),
      backoffMs: atLeast("retry.backoffMs", retry.backoffMs ?? 1_000, 0),
      backoffMsMax: atLeast("retry.backoffMsMax", retry.backoffMsMax ?? 120_000, 0),
    },
    window: {
      latenessMs: atLeast("window.latenessMs", window.latenessMs ?? 0, 0),
      idleTimeoutMs: atLeast("window.idleTimeoutMs", window.idleTimeoutMs ?? 30_000, 1),
      openEventsMax: atLeast("window.openEventsMax", window.openEventsMax ?? 50_000, 1),
    },
  }
}
