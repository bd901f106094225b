/**
 * What matching an event costs as routes that do not match become more. Prints one JSON value: nanoseconds per call.
 *
 *     npx jiti bench/router.ts [numbers of routes, comma-separated] [milliseconds per measurement]
 */
import type { MurmurEvent } from "../src/bus/event.js"
import { liveRoute, type Route } from "../src/router/route.js"
import { RouteTable } from "../src/router/table.js"

const COUNTS = (process.argv[2] ?? "10,100,1000,10000").split(",").map(Number)
const EVENTS = 1_000
/** Calls between two looks at the clock. Divides EVENTS. */
const BATCH = 20
const MEASURE_MS = Number(process.argv[3] ?? 400)
const WARMUP_MS = Math.min(100, MEASURE_MS)

type Make = { route: (n: number) => Route; event: (n: number) => Partial<MurmurEvent> }

const agent = (n: number): string => `agent-${n % 100}`

const cases: Record<string, Make> = {
  "disjoint patterns": {
    route: (n) => liveRoute({ agent: agent(n), pattern: `area${n}.thing.*` }),
    event: (n) => ({ type: `area${n}.thing.done` }),
  },
  "one pattern, exact filters": {
    route: (n) => liveRoute({ agent: agent(n), pattern: "ci.run.*", filter: { exact: { subject: `acme/repo-${n}` } } }),
    event: (n) => ({ key: `acme/repo-${n}` }),
  },
  "one pattern, prefix filters": {
    route: (n) => liveRoute({ agent: agent(n), pattern: "ci.run.*", filter: { prefix: { subject: `team-${n}/` } } }),
    event: (n) => ({ key: `team-${n}/shop` }),
  },
  "one pattern, data equality": {
    route: (n) => liveRoute({ agent: agent(n), pattern: "ci.run.*", filter: { data: { "repo.name": `repo-${n}` } } }),
    event: (n) => ({ data: { repo: { name: `repo-${n}` }, conclusion: "failure" } }),
  },
  "one pattern, comparison (evaluated one by one)": {
    route: (n) => liveRoute({ agent: agent(n), pattern: "ci.run.*", filter: { data: { attempt: { $gt: 10 + n } } } }),
    event: () => ({ data: { attempt: 1 } }),
  },
}

/** What the calls returned, kept so that none of them can be optimised away. */
let sink = 0

const result = Object.fromEntries(
  Object.entries(cases).map(([name, make]) => [
    name,
    Object.fromEntries(COUNTS.map((count) => [count, measure(make, count)])),
  ]),
)
const report = { node: process.version, unit: "ns per call; buildMs in ms", result, sink }
process.stdout.write(`${JSON.stringify(report, undefined, 2)}\n`)

function measure(make: Make, count: number): Record<string, number> {
  const routes = Array.from({ length: count }, (_, n) => make.route(n))
  const events = Array.from({ length: EVENTS }, (_, n) => eventOf(make.event((n * 7_919) % count)))
  const started = performance.now()
  const table = RouteTable.from(routes)
  table.match(eventOf({}))
  const buildMs = performance.now() - started
  // The same ten events again and again: what is left of a growth above is the processor's cache, not the algorithm.
  const few = Array.from({ length: EVENTS }, (_, n) => events[n % 10] ?? eventOf({}))
  return {
    match: timed(events, (event) => table.match(event).length),
    matchTenEvents: timed(few, (event) => table.match(event).length),
    concerns: timed(events, (event) => (table.concerns("agent-1", event) === undefined ? 0 : 1)),
    routesPerMatch: events.slice(0, 10).reduce((sum, event) => sum + table.match(event).length, 0) / 10,
    buildMs: Math.round(buildMs * 10) / 10,
  }
}

type Call = (event: MurmurEvent) => number

/** Nanoseconds per call, the warm-up left out. */
function timed(events: readonly MurmurEvent[], call: Call): number {
  runFor(WARMUP_MS, events, call)
  const { calls, ms } = runFor(MEASURE_MS, events, call)
  return Math.round((ms * 1e6) / calls)
}

function runFor(wantedMs: number, events: readonly MurmurEvent[], call: Call): { calls: number; ms: number } {
  const started = performance.now()
  let calls = 0
  let ms = 0
  while (ms < wantedMs) {
    const from = calls % events.length
    for (let n = 0; n < BATCH; n++) sink += call(events[from + n] ?? eventOf({}))
    calls += BATCH
    ms = performance.now() - started
  }
  return { calls, ms }
}

function eventOf(over: Partial<MurmurEvent>): MurmurEvent {
  return {
    id: "01",
    source: "/bench",
    type: "ci.run.completed",
    time: "2025-01-01T00:00:00Z",
    key: undefined,
    data: null,
    producer: "bench",
    seq: 1,
    correlationid: "01",
    causationid: undefined,
    hops: 0,
    path: [],
    trust: "internal",
    trace: undefined,
    extensions: {},
    ...over,
  }
}
