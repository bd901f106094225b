import type { Cli } from "./cli.js"
import { graceSeconds, label, nameList } from "./hosting.js"
import { point, pointRange } from "./session-point.js"
import { byteCount, jsonValue, limit, money, oneOf, pastTime, timeSpan, urlList, wholeNumber } from "./usage.js"

/** One option of a command. */
export interface OptionSpec {
  /** With the placeholder of its value, if it takes one: `--key <key>`, `--all`. */
  readonly flags: string
  /** One letter for the same: `t` of `-t`. */
  readonly short?: string
  readonly description: string
  readonly parse?: (text: string) => unknown
  readonly required?: boolean
  /** It may be given several times: its value is a list. */
  readonly repeats?: boolean
}

/** What a command's module exports. */
type Action = (cli: Cli, args: never, options: never) => Promise<void>

/** One command. Its module is loaded when it runs, and not before. */
export interface CommandSpec {
  /** One word, or two for a command of a group. */
  readonly name: string
  /** `<needed>`, `[optional]`, `[any-number...]`. */
  readonly args?: string
  readonly summary: string
  readonly options?: readonly OptionSpec[]
  readonly examples?: readonly string[]
  readonly load: () => Promise<Action>
}

/** What every command takes, before or after its name. */
export const GLOBAL_OPTIONS: readonly OptionSpec[] = [
  { flags: "--nats <url>", description: "servers of the mesh (default: NATS_URL, else the local mesh of this folder)" },
  { flags: "--mesh <name>", description: "name of the mesh (default: MURMUR_MESH, else murmur)" },
  { flags: "--creds <file>", description: "NATS credentials file (default: NATS_CREDS)" },
  { flags: "--nkey <file>", description: "file with the nkey seed of a NATS user (default: NATS_NKEY)" },
  { flags: "--tlsca <file>", description: "certificates of the authorities to trust (default: NATS_CA)" },
  { flags: "--tlscert <file>", description: "own certificate, where servers ask for one (default: NATS_CERT)" },
  { flags: "--tlskey <file>", description: "key of that certificate (default: NATS_KEY)" },
  { flags: "--json", description: "print JSON, for programs" },
]

/** Groups of commands, and which of theirs runs when none is named. */
export const GROUPS: readonly { readonly name: string; readonly summary: string; readonly standard?: string }[] = [
  { name: "route", summary: "change the live routing table" },
  { name: "dead", summary: "dead letters", standard: "ls" },
  { name: "ask", summary: "questions that wait for a person", standard: "ls" },
  { name: "guard", summary: "causal trees that a guard has stopped", standard: "ls" },
  { name: "models", summary: "models that agents think with", standard: "ls" },
  { name: "auth", summary: "identities, and the rights of nodes" },
  { name: "new", summary: "write a new file from a template" },
]

const AUTH_DIR: OptionSpec = { flags: "--dir <folder>", description: "where identities lie (default: .murmur/auth)" }
const RELOAD: OptionSpec = {
  flags: "--pid <n>",
  description: "process id of a nats-server on this machine: it reads its configuration again",
  parse: wholeNumber("--pid", 2),
}
const EXPIRES: OptionSpec = {
  flags: "--expires <hours>",
  description: "credentials are good for so long (with --jwt identities; default: for ever)",
  parse: wholeNumber("--expires", 1),
}

/** A limit may be lifted. */
const NONE = { none: true }
const PER: Readonly<Record<string, string>> = {
  "agent-day": "of each agent and UTC day",
  day: "of the mesh and UTC day",
  month: "of the mesh and UTC month",
}

const LETTERS: readonly OptionSpec[] = [
  { flags: "--all", description: "all dead letters" },
  { flags: "--agent <name>", description: "those of one agent" },
  { flags: "--type <type>", description: "those of events of one type" },
]

export const COMMANDS: readonly CommandSpec[] = [
  {
    name: "up",
    args: "[paths...]",
    summary: "run a node with the agents and sources in these files or folders",
    options: [
      { flags: "--watch", description: "swap edited files in while running" },
      {
        flags: "--agents <names>",
        description: "host only these agents and sources: names or patterns with *, with commas (default: all)",
        parse: nameList("--agents"),
      },
      {
        flags: "--label <key=value>",
        description: "label the node, for agents that ask for one (nodeSelector); may be repeated",
        parse: label("--label"),
        repeats: true,
      },
      {
        flags: "--grace <seconds>",
        description: "how long what runs may take when the node stops (default: 25)",
        parse: graceSeconds("--grace"),
      },
      {
        flags: "--port <n>",
        description: "port of the HTTP side; 0 picks a free one (default: 4300)",
        parse: wholeNumber("--port", 0, 65_535),
      },
      { flags: "--host <address>", description: "address of the HTTP side (default: 127.0.0.1)" },
      { flags: "--no-http", description: "no HTTP side" },
      {
        flags: "--nats-port <n>",
        description: "port of the embedded server; 0 picks a free one",
        parse: wholeNumber("--nats-port", 0, 65_535),
      },
      { flags: "--nats-server <binary>", description: "the nats-server to run" },
      { flags: "--log-level <level>", description: "debug, info, warn, error or silent" },
    ],
    examples: ["murmur up agents --watch", "murmur up examples/watchtower --port 0 --json"],
    load: async () => (await import("./start-up.js")).startUp,
  },
  {
    name: "publish",
    args: "<type> [input]",
    summary: "publish one event, or one for each line of standard input",
    options: [
      { flags: "--key <key>", description: "the entity that the event is about" },
      { flags: "--data <json>", description: "its data", parse: jsonValue("--data") },
      { flags: "--file <file>", description: "a file that holds its data as JSON" },
      { flags: "--id <id>", description: "its id: published twice, it is stored once" },
      { flags: "--as-data", description: 'with "-": every line is data, whatever its members are called' },
    ],
    examples: [
      `murmur publish note.added --key inbox --data '{"text":"hi"}'`,
      "murmur publish note.added - < notes.ndjson",
      "",
      'Each line of "-" is one of: the data; an event {"data", "key"?, "id"?, "time"?} with no other members; or a',
      'CloudEvent (it has "specversion"), as "murmur tail --json" prints it. Prints id and sequence, one line an event.',
    ],
    load: async () => (await import("./publish.js")).publish,
  },
  {
    name: "tail",
    args: "[pattern]",
    summary: "show events: history when asked for, then live",
    options: [
      { flags: "--since <time>", description: "from then on: 10m, 2h, or a time", parse: pastTime("--since") },
      { flags: "--from-seq <n>", description: "from this sequence on", parse: wholeNumber("--from-seq", 1) },
      { flags: "--count <n>", description: "stop after so many", parse: wholeNumber("--count", 1) },
    ],
    examples: ["murmur tail 'ci.run.*' --since 10m", "murmur tail --from-seq 1 --count 100 --json"],
    load: async () => (await import("./tail.js")).tail,
  },
  {
    name: "trace",
    args: "<event-id>",
    summary: "show what an event came from and what it led to",
    options: [
      {
        flags: "--since <time>",
        description: "look from then on only: 10m, 2h, or a time",
        parse: pastTime("--since"),
      },
    ],
    load: async () => (await import("./trace.js")).trace,
  },
  {
    name: "session",
    args: "<agent> [key]",
    summary: "show a session: its state and its commits, now or as of then",
    options: [
      {
        flags: "--at <point>",
        description: "as of a sequence or a time: 1200, 10m, 2026-03-01T12:00:00Z",
        parse: point("--at"),
      },
      { flags: "--diff <a..b>", description: "what changed between two such points", parse: pointRange("--diff") },
    ],
    examples: ["murmur session ci-triage acme/web --at 10m", "murmur session teller alice --diff 120..180"],
    load: async () => (await import("./session.js")).session,
  },
  {
    name: "events",
    summary: "list event types, their schemas, who emits and who reacts",
    load: async () => (await import("./events.js")).events,
  },
  {
    name: "agents",
    args: "[name]",
    summary: "list agents, where they run, their lag and failures; or one in detail",
    load: async () => (await import("./agents.js")).agents,
  },
  { name: "nodes", summary: "list nodes", load: async () => (await import("./nodes.js")).nodes },
  { name: "routes", summary: "list the routing table", load: async () => (await import("./routes.js")).routes },
  {
    name: "route add",
    args: "<pattern>",
    summary: "send events to an agent from now on",
    options: [
      { flags: "--to <agent>", description: "the agent", required: true },
      {
        flags: "--filter <json>",
        description: 'only events that fit, such as {"prefix":{"subject":"acme/"}}',
        parse: jsonValue("--filter"),
      },
      { flags: "--exclusive", description: "of the exclusive routes that fit an event only one delivers" },
      {
        flags: "--priority <n>",
        description: "the highest exclusive route wins (default: 0)",
        parse: wholeNumber("--priority", -1_000, 1_000),
      },
    ],
    examples: [`murmur route add 'ci.run.*' --to triage --filter '{"data":{"conclusion":"failure"}}'`],
    load: async () => (await import("./route-add.js")).routeAdd,
  },
  {
    name: "route rm",
    args: "<id>",
    summary: "remove a route; one declared in code is switched off until it is added again",
    load: async () => (await import("./route-rm.js")).routeRm,
  },
  {
    name: "dead ls",
    summary: "list dead letters",
    options: LETTERS.slice(1),
    load: async () => (await import("./dead-ls.js")).deadLs,
  },
  {
    name: "dead show",
    args: "<id>",
    summary: "show one dead letter: the event, the error, every attempt",
    load: async () => (await import("./dead-show.js")).deadShow,
  },
  {
    name: "dead retry",
    args: "[ids...]",
    summary: "send dead letters back to their agents",
    options: LETTERS,
    load: async () => (await import("./dead-retry.js")).deadRetry,
  },
  {
    name: "dead drop",
    args: "[ids...]",
    summary: "delete dead letters",
    options: [...LETTERS, { flags: "--yes", description: "do not ask" }],
    load: async () => (await import("./dead-drop.js")).deadDrop,
  },
  {
    name: "ask ls",
    summary: "list the questions that wait for a person",
    load: async () => (await import("./ask-ls.js")).askLs,
  },
  {
    name: "ask answer",
    args: "<id> <answer>",
    summary: "answer a question; the first answer counts",
    examples: ["murmur ask answer 7Rj0aZ yes", "", "The first six characters of an id are enough."],
    load: async () => (await import("./ask-answer.js")).askAnswer,
  },
  {
    name: "guard ls",
    summary: "list the causal trees that guards have stopped",
    load: async () => (await import("./guard-ls.js")).guardLs,
  },
  {
    name: "guard resume",
    args: "<root>",
    summary: "let a stopped tree go on: grant it more, send its events back",
    options: [
      { flags: "--events <n>", description: "so many events more", parse: wholeNumber("--events", 1) },
      { flags: "--steps <n>", description: "so many steps more", parse: wholeNumber("--steps", 1) },
      { flags: "--tokens <n>", description: "so many tokens of models more", parse: wholeNumber("--tokens", 1) },
      { flags: "--usd <n>", description: "so many dollars for models more", parse: money("--usd", { least: 1 }) },
      { flags: "--hops <n>", description: "so many hops deeper", parse: wholeNumber("--hops", 1) },
      { flags: "--cycles <n>", description: "so many cycles more", parse: wholeNumber("--cycles", 1) },
    ],
    examples: [
      "murmur guard resume 0199f3a2-7c1d-7b40-8a55-0f6f2f6f9c11 --events 5000",
      "murmur guard resume 0199f3a2-7c1d-7b40-8a55-0f6f2f6f9c11 --tokens 500000 --usd 2.50",
      "",
      "Without numbers: as much again, of the hops or cycles that stopped it, and of all its budgets when one did.",
      "What the budget of a day or month has stopped is sent back in any case: grant it nothing, raise the limit or wait.",
    ],
    load: async () => (await import("./guard-resume.js")).guardResume,
  },
  {
    name: "guard limits",
    summary: "show or change what events, agents and the mesh may use",
    options: [
      { flags: "--events <n>", description: "of one root event: what agents may emit", parse: limit("--events") },
      { flags: "--steps <n>", description: "of one root event: steps on such events", parse: limit("--steps") },
      { flags: "--tokens <n>", description: "of one root event: tokens of models", parse: limit("--tokens") },
      { flags: "--usd <n>", description: "of one root event: dollars for models", parse: money("--usd", NONE) },
      ...["agent-day", "day", "month"].flatMap((scope) => [
        { flags: `--${scope}-tokens <n>`, description: `tokens ${PER[scope]}`, parse: limit(`--${scope}-tokens`) },
        { flags: `--${scope}-usd <n>`, description: `dollars ${PER[scope]}`, parse: money(`--${scope}-usd`, NONE) },
      ]),
      { flags: "--agent <name>", description: "--agent-day-... is for this agent alone" },
      { flags: "--default", description: "back to the defaults (see docs/guards.md)" },
    ],
    examples: [
      "murmur guard limits --usd 5 --agent-day-usd 20 --day-usd 100 --month-usd 1000",
      "murmur guard limits --agent triage --agent-day-usd 2.50",
      "murmur guard limits --usd none",
    ],
    load: async () => (await import("./guard-limits.js")).guardLimits,
  },
  {
    name: "models ls",
    args: "[paths...]",
    summary: "list the models that these files and this environment give, and whether they answer",
    options: [{ flags: "--all", description: "also what their providers offer" }],
    examples: ["murmur models", "murmur models ls agents models.ts --all"],
    load: async () => (await import("./models-ls.js")).modelsLs,
  },
  {
    name: "models pull",
    args: "<model> [paths...]",
    summary: "fetch a model to the machine of its provider",
    examples: ["murmur models pull ollama/qwen3:8b"],
    load: async () => (await import("./models-pull.js")).modelsPull,
  },
  {
    name: "models ask",
    args: "<model> <prompt> [paths...]",
    summary: "ask a model one question; shows whether a key works, and what it costs",
    examples: [
      `murmur models ask ollama/qwen3:8b "Why is the sky blue?"`,
      `murmur models ask quick "Hello" models.ts --json`,
      "",
      "The model is provider/model, or an alias of these files. No mesh is needed, and none of its budgets is charged.",
    ],
    load: async () => (await import("./models-ask.js")).modelsAsk,
  },
  {
    name: "pause",
    args: "<agent>",
    summary: "stop an agent's consumption everywhere; its events wait",
    load: async () => (await import("./pause.js")).pause,
  },
  {
    name: "resume",
    args: "<agent>",
    summary: "let a paused or quarantined agent go on where it stopped",
    load: async () => (await import("./pause.js")).resume,
  },
  {
    name: "deploy",
    args: "[paths...]",
    summary: "make all that these agents and sources need of a mesh; shows a plan first, and asks",
    options: [
      { flags: "--plan", description: "show what would be done, and do nothing" },
      { flags: "--yes", description: "do not ask" },
      {
        flags: "--agents <names>",
        description: "only these agents and sources: names or patterns with *, with commas (default: all)",
        parse: nameList("--agents"),
      },
      {
        flags: "--replicas <n>",
        description: "keep everything in 1, 3 or 5 copies (default: as it is; for a new mesh 3 on a cluster, else 1)",
        parse: oneOf("--replicas", [1, 3, 5]),
      },
      {
        flags: "--events-age <time>",
        description: "how long events are kept: 12h, 30d",
        parse: timeSpan("--events-age"),
      },
      {
        flags: "--events-size <bytes>",
        description: "how many bytes of events are kept: 500MiB, 20GiB",
        parse: byteCount("--events-size"),
      },
      {
        flags: "--dedup-window <time>",
        description: "for how long an event's id is stored once only",
        parse: timeSpan("--dedup-window"),
      },
      {
        flags: "--layout <layout>",
        description: "agent: session logs in streams by agent, for rights (default when new); mesh: in common ones",
        parse: oneOf("--layout", ["agent", "mesh"]),
      },
      {
        flags: "--prune",
        description: "remove what agents and sources have that are not in these files; not sessions",
      },
      { flags: "--prune-sessions", description: "with --prune: remove their sessions and journals, too" },
    ],
    examples: [
      "murmur deploy --plan",
      "murmur deploy agents --yes --replicas 3 --nkey deployer.nk",
      "",
      "Exit codes: 0 done, or planned; 1 refused or failed; 2 wrong usage. Programs read the plan with --json.",
    ],
    load: async () => (await import("./deploy.js")).deploy,
  },
  {
    name: "drain",
    args: "<node>",
    summary: "let a node finish what it has begun and leave; others go on at once",
    load: async () => (await import("./drain.js")).drain,
  },
  {
    name: "build",
    args: "<dir>",
    summary: "bake the agents of a folder, and the packages that they need, into a container image",
    options: [
      { flags: "--tag <image>", short: "t", description: "name of the image", required: true },
      { flags: "--base <image>", description: "image of murmur to build on (default: murmur:<version>)" },
      { flags: "--network <mode>", description: "where npm runs in the build, as of docker build" },
    ],
    examples: [
      "murmur build agents -t shop-agents:1.4.0",
      "murmur build . -t shop-agents --base ghcr.io/acme/murmur:0.1.0",
    ],
    load: async () => (await import("./build.js")).build,
  },
  {
    name: "init",
    args: "[dir]",
    summary: "write a small project: events, two agents, one of which thinks, their tests",
    load: async () => (await import("./init.js")).init,
  },
  {
    name: "auth init",
    summary: "make the identities of a mesh: system, deployer, operator",
    options: [
      AUTH_DIR,
      {
        flags: "--jwt",
        description: "users are signed by an operator's key, not listed in the server's configuration",
      },
      {
        flags: "--tls <hosts>",
        description: "an authority and a certificate for servers with these names, comma-separated",
      },
    ],
    examples: ["murmur auth init --tls nats.example.com"],
    load: async () => (await import("./auth/init.js")).authInit,
  },
  {
    name: "auth add-node",
    args: "<name> [paths...]",
    summary: "give a node an identity with the rights that its agents need; run again, bring them up to date",
    options: [
      AUTH_DIR,
      {
        flags: "--agents <names>",
        description: "only these agents and sources, comma-separated; * stands for any characters",
      },
      { flags: "--http", description: "it also takes events by POST /events" },
      EXPIRES,
      RELOAD,
    ],
    examples: [
      "murmur auth add-node web agents --agents 'ci-*' --http",
      "",
      "Without paths it asks the catalogue of a running mesh what the agents need.",
    ],
    load: async () => (await import("./auth/add-node.js")).authAddNode,
  },
  {
    name: "auth rotate",
    args: "<user>",
    summary: "give a user another key; the old one is good until it is revoked",
    options: [AUTH_DIR, { flags: "--now", description: "the old key is good no more" }, EXPIRES, RELOAD],
    examples: ["murmur auth rotate web", "murmur auth rotate deployer --now"],
    load: async () => (await import("./auth/rotate.js")).authRotate,
  },
  {
    name: "auth revoke",
    args: "<user>",
    summary: "let a node's user in no more",
    options: [AUTH_DIR, { flags: "--old", description: "only its keys from before it was rotated" }, RELOAD],
    examples: ["murmur auth revoke web --pid 4711"],
    load: async () => (await import("./auth/revoke.js")).authRevoke,
  },
  {
    name: "auth check",
    args: "[name] [paths...]",
    summary: "compare what a server lets nodes do with what their agents need; exit code 1 when it differs",
    options: [
      AUTH_DIR,
      { flags: "--agents <names>", description: "as for add-node" },
      { flags: "--http", description: "as for add-node" },
    ],
    examples: ["murmur auth check", "murmur auth check web agents --agents 'ci-*' --http"],
    load: async () => (await import("./auth/check.js")).authCheck,
  },
  {
    name: "new agent",
    args: "<name>",
    summary: "write a new agent",
    options: [
      { flags: "--dir <dir>", description: "into this folder (default: agents)" },
      { flags: "--mind", description: "one whose model decides, by instructions; with models.ts where there is none" },
    ],
    load: async () => (await import("./new-agent.js")).newAgent,
  },
  {
    name: "chaos",
    summary: "kill nodes and the server of a mesh of its own while it works, and count what was promised",
    options: [
      {
        flags: "--events <n>",
        description: "events to publish (default: 1000)",
        parse: wholeNumber("--events", 1, 20_000),
      },
      {
        flags: "--kills <n>",
        description: "how often a node is killed; half as often one is stopped (default: 4)",
        parse: wholeNumber("--kills", 0, 100),
      },
      {
        flags: "--seed <n>",
        description: "the same seed strikes the same (default: another each time)",
        parse: wholeNumber("--seed", 0, 2 ** 32 - 1),
      },
      {
        flags: "--seconds <n>",
        description: "how long it publishes and strikes (default: 15)",
        parse: wholeNumber("--seconds", 1, 3_600),
      },
    ],
    examples: ["murmur chaos", "murmur chaos --seed 7 --kills 10 --seconds 40 --json"],
    load: async () => (await import("./chaos.js")).chaos,
  },
  {
    name: "doctor",
    args: "[paths...]",
    summary: "say what is wrong with this set-up and how to mend it",
    options: [
      {
        flags: "--monitor <urls>",
        description: "monitoring addresses of the servers, with commas: http://host:8222",
        parse: urlList("--monitor"),
      },
    ],
    examples: [
      "murmur doctor",
      "murmur doctor agents models.ts",
      "",
      "With files also: can their agents ask their models?",
    ],
    load: async () => (await import("./doctor.js")).doctor,
  },
]
