import { isDeepStrictEqual } from "node:util"
import { journalSubject, parseRecord } from "../../../src/agents/journal/records.js"
import type { CommitRecord, SessionRecord } from "../../../src/agents/sessions/record.js"
import { openSessions } from "../../../src/agents/sessions/session-store.js"
import { Link } from "../model/link.js"
import { SimLog } from "../model/log.js"
import { Process } from "../world/process.js"
import type { Added, Tally } from "./agents.js"
import { checkThoughts } from "./check-thoughts.js"
import type { SimMesh } from "./mesh.js"
import { mindOf } from "./mind-plan.js"
import { planOf } from "./plan.js"
import { commitsIn, type Leftovers, readBack } from "./read-back.js"
import type { Scenario } from "./scenario.js"

/** What does not hold of a run that is over, in words. */
export async function checkRun(mesh: SimMesh, scenario: Scenario): Promise<string[]> {
  const violations = [...mesh.bill.violations, ...checkJournals(mesh)]
  for (const agent of mesh.agents) {
    const left = readBack(mesh, agent)
    const found =
      agent.state === undefined ? checkStateless(mesh, left) : [...checkFates(left), ...checkLogs(mesh, left)]
    if (agent.state !== undefined) found.push(...(await checkFolds(mesh, left)))
    found.push(...checkRepeats(left))
    if (isCalm(scenario)) found.push(...checkDeaths(mesh, left))
    violations.push(...found.map((text) => `agent ${agent.name}: ${text}`))
  }
  return violations
}

/** What was answered stays answered. */
function checkJournals(mesh: SimMesh): string[] {
  const found: string[] = []
  const answers = new Map<string, unknown>()
  for (const { subject, data } of mesh.streams.steps.records) {
    if (subject.endsWith(".tenure")) continue
    const record = parseRecord(data, subject)
    const said = record.kind === "answer" ? [record] : record.kind === "waiting" ? record.answers : []
    for (const { position, answer } of said) {
      const call = `${subject} ${position}`
      if (answers.has(call) && !isDeepStrictEqual(answers.get(call), answer))
        found.push(`a call has one answer: ${call}`)
      answers.set(call, answer)
    }
  }
  return found
}

/** Each event is committed or a dead letter, and only one of the two. */
function checkFates({ inputs, sessions, dead }: Leftovers): string[] {
  const found: string[] = []
  const committed = new Map<string, string>()
  for (const [subject, records] of sessions) {
    for (const { cause } of commitsIn(records)) {
      const before = committed.get(cause.id)
      if (before !== undefined) found.push(`one commit per cause: ${cause.id} is in ${before} and in ${subject}`)
      if (!inputs.has(cause.id)) found.push(`commits have causes: ${cause.id} is no event`)
      committed.set(cause.id, subject)
    }
  }
  for (const [id, copies] of inputs) {
    const [isCommitted, isDead] = [committed.has(id), dead.has(id)]
    if (!isCommitted && !isDead) found.push(`each event is committed or a dead letter: ${id} is neither`)
    // one that was stored twice is another event when the first was given up
    if (isCommitted && isDead && copies.length === 1) {
      found.push(`each event is committed or a dead letter: ${id} is both (${dead.get(id)})`)
    }
  }
  return found
}

/** Without state: handled at least once or a dead letter, and nothing published that no handler emitted. */
function checkStateless(mesh: SimMesh, { agent, inputs, outputs, dead }: Leftovers): string[] {
  const found: string[] = []
  const published = new Map<string, Set<string>>()
  for (const { id, causationid = "" } of outputs)
    published.set(causationid, (published.get(causationid) ?? new Set()).add(id))
  for (const id of inputs.keys()) {
    const { emits } = planOf(mesh.options.seed, agent.name, id, mesh.options.plans)
    const count = published.get(id)?.size ?? 0
    if (dead.has(id)) continue
    if (!mesh.returned.has(`${agent.name} ${id}`))
      found.push(`each event is handled or a dead letter: ${id} is neither`)
    if (count !== emits.length)
      found.push(`outputs are published, by distinct id: ${id} has ${count} of ${emits.length}`)
  }
  return found
}

/** Order, outputs, and what the commits hold. */
function checkLogs(mesh: SimMesh, { agent, sessions, outputs }: Leftovers): string[] {
  const found: string[] = []
  const first = new Map(outputs.toReversed().map(({ id, seq }) => [id, seq]))
  const decided = new Map<string, unknown>()
  for (const [subject, records] of sessions) {
    const commits = commitsIn(records)
    const inOrder = commits.filter(({ cause }) => cause.seq > 0)
    if (!ascends(inOrder.map(({ cause }) => cause.seq)))
      found.push(`order per key: ${subject} has ${inOrder.map(({ cause }) => cause.seq)}`)
    const places = inOrder.flatMap((commit) => commit.outputs.map(({ id }) => first.get(id) ?? 0))
    if (!ascends(places)) found.push(`outputs in the order of their commits: ${subject} has them at ${places}`)
    for (const commit of commits) {
      for (const { id, data } of commit.outputs) {
        decided.set(id, data)
        if (!first.has(id)) found.push(`outputs of commits are published: ${id} of ${commit.cause.id} is not`)
      }
      found.push(...checkCommit(mesh, agent.name, commit))
    }
  }
  for (const { id, data } of outputs) {
    if (!isDeepStrictEqual(decided.get(id), data)) found.push(`what is published is committed: ${id} is not`)
  }
  return found
}

/** A commit holds what the step's plan says, with the answers that its own calls were given. */
function checkCommit(mesh: SimMesh, agent: string, { cause, entries, outputs }: CommitRecord): string[] {
  const { seed, plans } = mesh.options
  const plan = planOf(seed, agent, cause.id, plans)
  const step = journalSubject(mesh.names.mesh, agent, cause.id)
  const [entry] = entries
  const none: Added = { id: "", answers: [], said: null, thoughts: [] }
  const { id, answers, said, thoughts } = (entry?.data ?? none) as Added
  const right = answers.every((number, at) => {
    const invoice = mesh.bill.invoice(number)
    return invoice?.step === step && invoice.call === `call ${at}`
  })
  const asked = plan.asksBefore <= plan.calls.length
  const heard = asked ? said === "yes" || said === "no" : said === null
  const whole = heard && entries.length === 1 && id === cause.id && answers.length === plan.calls.length
  const emitted = isDeepStrictEqual(
    outputs.map(({ key }) => key),
    plan.emits,
  )
  const thought = checkThoughts(mesh, agent, cause.id, thoughts)
  if (thought !== undefined) return [`a commit holds what its step thought: that of ${cause.id} does not: ${thought}`]
  return right && whole && emitted ? [] : [`a commit holds what its step did: that of ${cause.id} does not`]
}

/** The state is the fold of the log, and what a session that is read again has. */
async function checkFolds(mesh: SimMesh, { agent, sessions }: Leftovers): Promise<string[]> {
  const { state } = agent
  if (state === undefined) return []
  const found: string[] = []
  const process = new Process(mesh.world, "reader")
  const log = new SimLog(new Link(process, mesh.server), mesh.streams.sessions)
  const store = openSessions({ names: mesh.names, clock: process.clock, log }, agent.name, state)
  for (const [subject, records] of sessions) {
    const token = subject.split(".").at(-1)
    const session = await mesh.world.complete(store.load(token === "_" ? undefined : token))
    const folded = fold(records)
    if (folded === undefined) found.push(`a snapshot is the fold of what lies before it: one of ${subject} is not`)
    else if (!isDeepStrictEqual(session.state, folded)) {
      found.push(
        `state is the fold of the log: ${subject} is ${JSON.stringify(session.state)}, not ${JSON.stringify(folded)}`,
      )
    }
  }
  return found
}

function fold(records: readonly SessionRecord[]): Tally | undefined {
  let tally: Tally = { count: 0, last: "" }
  for (const record of records) {
    if (record.kind === "given-up" || record.kind === "causes") continue
    if (record.kind === "commit") tally = { count: tally.count + 1, last: record.cause.id }
    else if (!isDeepStrictEqual(record.state, tally)) return undefined
  }
  return tally
}

/** These agents are deterministic: a step that runs again is given and asks for the same. */
function checkRepeats({ dead }: Leftovers): string[] {
  const others = [...dead].filter(([, why]) => why.includes("did not repeat its step"))
  return others.map(([id, why]) => `a step that runs again is the same: that of ${id} was not (${why})`)
}

/** Where nothing went wrong nothing is given up but what fails by itself. */
function checkDeaths(mesh: SimMesh, { agent, dead }: Leftovers): string[] {
  const { seed, plans } = mesh.options
  return [...dead].flatMap(([id, why]) => {
    const { fails, calls } = planOf(seed, agent.name, id, plans)
    const { flaky, failsBesideMs } = mindOf(seed, agent.name, id, plans)
    const doubtful = plans.fails && (flaky || failsBesideMs !== undefined || plans.thinks)
    const deserved = fails !== "never" || doubtful || calls.some((ms) => ms > agent.stepTimeoutMs)
    return deserved ? [] : [`only what fails is given up: ${id} was (${why})`]
  })
}

function isCalm({ faults, links }: Scenario): boolean {
  return faults.length === 0 && links.answerLoss === 0
}

function ascends(numbers: readonly number[]): boolean {
  return numbers.every((number, at) => at === 0 || number > (numbers[at - 1] ?? 0))
}
