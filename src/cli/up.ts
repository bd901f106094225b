import { once } from "node:events"
import { resolve } from "node:path"
import { type Bus, openBus } from "../bus/bus.js"
import { redactUrl } from "../bus/connection.js"
import type { LoginOptions } from "../bus/login.js"
import type { LocalServer } from "../bus/server/index.js"
import { MurmurError } from "../errors.js"
import type { HttpServer } from "../http/server.js"
import { codeVersionOf } from "../node/code-version.js"
import type { Hosted } from "../node/hosted.js"
import { type Loaded, Loader } from "../node/loader.js"
import { MurmurNode, newNodeId } from "../node/node.js"
import { type Selected, select } from "../node/selection.js"
import { VERSION } from "../node/version.js"
import { watchFiles } from "../node/watch.js"
import type { LogLevel } from "../telemetry/log.js"
import { type RunningTelemetry, startTelemetry } from "../telemetry/setup.js"
import { graceSeconds, type HostingOptions, selectionOf } from "./hosting.js"
import { pathsOrDefault } from "./paths.js"
import type { ViewOptions } from "./view.js"

/** Options of `murmur up`. */
export interface UpOptions extends HostingOptions {
  watch?: boolean
  port?: number
  host?: string
  http: boolean
  natsPort?: number
  natsServer?: string
  nats?: string
  mesh: string
  login: LoginOptions
  json?: boolean
  logLevel?: string
  /** In seconds. */
  grace?: number
}

const HTTP_PORT = 4300

/** What was started, in order; stopped in the other order. */
class Running {
  readonly #stops: { readonly what: string; stop(): Promise<unknown> }[] = []

  add(what: string, stop: () => Promise<unknown>): void {
    this.#stops.push({ what, stop })
  }

  async stop(onError: (what: string, error: unknown) => void): Promise<void> {
    for (const { what, stop } of this.#stops.splice(0).reverse()) {
      await stop().catch((error) => onError(what, error))
    }
  }
}

/**
 * `murmur up`: a node with the agents and sources of some files, on a server of its own unless it is given one. Runs
 * until SIGINT, SIGTERM or `murmur drain`, then finishes what it has begun.
 */
export async function up(paths: string[], options: UpOptions): Promise<void> {
  const running = new Running()
  const stopping = stopSignal()
  try {
    const since = new Date()
    const started = await start(pathsOrDefault(paths), options, running, stopping)
    announce(started, options)
    const view = options.json ? undefined : await import("./view.js")
    const closeView = view?.startView(started.bus, process.stdout, { since, ...viewOptions(started, options) })
    if (closeView !== undefined) running.add("view", closeView)
    await ended(started, stopping)
  } finally {
    await running.stop((what, error) => {
      process.stderr.write(`murmur: cannot stop the ${what}: ${String(error)}\n`)
    })
  }
  process.exit(0) // an exporter that is cut off may hold sockets for a while
}

/**
 * Resolves when the node is to stop.
 *
 * @throws MurmurError `BUS_CLOSED` when no server lets it in any more. The process ends, so that whoever started it can do
 *   so again: it reads its credentials anew
 */
async function ended({ bus, node }: Started, stopping: AbortSignal): Promise<void> {
  const ending = AbortSignal.any([stopping, node.leaving])
  const asked = ending.aborted ? Promise.resolve() : once(ending, "abort")
  const shutOut = await Promise.race([asked.then(() => undefined), bus.closed.then((error) => error ?? "closed")])
  if (shutOut === undefined) return
  throw new MurmurError(
    `The connection to NATS is over for good (${String(shutOut)}). Was this node's user revoked, or did its credentials expire? "murmur auth check" tells`,
    { code: "BUS_CLOSED", ...(shutOut instanceof Error && { cause: shutOut }) },
  )
}

interface Started {
  readonly bus: Bus
  readonly node: MurmurNode
  readonly natsUrl: string
  readonly http: HttpServer | undefined
}

async function start(
  paths: readonly string[],
  options: UpOptions,
  running: Running,
  stopping: AbortSignal,
): Promise<Started> {
  const loader = new Loader(paths)
  const selection = selectionOf(options, process.env)
  const load = async (): Promise<Selected<Loaded>> => select(await loader.load(), selection)
  const { hosted, elsewhere, misfits } = await load()
  tellWhatIsNotHosted(hosted, misfits)
  const server = await findServer(options, running, stopping)
  const nodeId = process.env.MURMUR_NODE_ID ?? newNodeId()
  // the view says what goes on; only what it does not say needs a line of the log
  const logLevel = options.logLevel ?? (options.json || process.env.MURMUR_LOG_LEVEL ? undefined : "warn")
  const telemetry = await startTelemetry({
    serviceName: "murmur",
    mesh: options.mesh,
    nodeId,
    version: VERSION,
    env: process.env,
    prometheus: options.http,
    ...(logLevel !== undefined && { logLevel: logLevel as LogLevel }),
  })
  running.add("telemetry", () => telemetry.shutdown())
  const { log } = telemetry.telemetry
  const bus = await openBus({ url: server.url, name: "murmur node", mesh: options.mesh, ...options.login, log })
  running.add("connection", () => bus.close())
  const node = await MurmurNode.start({
    ...hosted,
    elsewhere,
    labels: selection.labels,
    codeVersion: codeVersionOf(paths, process.env),
    ...graceOf(options, process.env),
    bus,
    telemetry: telemetry.telemetry,
    observe: telemetry.observe,
    redact: (text) => telemetry.redactor.text(text),
    id: nodeId,
  })
  running.add("node", () => node.stop())
  const gauges = (await import("../node/gauges.js")).registerGauges(node, telemetry.observe)
  running.add("gauges", async () => gauges())
  const http = options.http ? await serve(node, telemetry, options, running) : undefined
  if (options.watch)
    running.add(
      "watch",
      await watchFiles({ roots: () => loader.roots(), load: async () => (await load()).hosted }, node, log),
    )
  return { bus, node, natsUrl: redactUrl(server.url), http }
}

function graceOf({ grace }: UpOptions, env: NodeJS.ProcessEnv): { graceMs?: number } {
  const seconds = grace ?? (env.MURMUR_GRACE ? graceSeconds("MURMUR_GRACE")(env.MURMUR_GRACE) : undefined)
  return seconds === undefined ? {} : { graceMs: seconds * 1_000 }
}

/** What somebody may miss here. That nothing is left is no error: labels may come to fit, and edited files are swapped in. */
function tellWhatIsNotHosted({ agents, sources }: Hosted, misfits: readonly string[]): void {
  const nothing = agents.length + sources.length === 0 && misfits.length > 0
  const lines = nothing ? [...misfits, "nothing is left that this node hosts (see --label)"] : misfits
  for (const line of lines) process.stderr.write(`murmur: ${line}\n`)
}

/** The server that was named, or the one of this folder: started, or joined when it runs. */
async function findServer(options: UpOptions, running: Running, stopping: AbortSignal): Promise<{ url: string }> {
  if (options.nats !== undefined) return { url: options.nats }
  if (process.env.MURMUR_LOCAL_SERVER === "off") throw noServer()
  const { startLocalServer } = await import("../bus/server/index.js")
  const { progressPrinter } = await import("./progress.js")
  const progress = progressPrinter(process.stderr)
  const server: LocalServer = await startLocalServer({
    dir: resolve(process.env.MURMUR_DIR ?? ".murmur"),
    ...(options.natsPort !== undefined && { port: options.natsPort }),
    ...(options.natsServer !== undefined && { bin: options.natsServer }),
    onProgress: progress.show,
    signal: stopping,
  })
  progress.done()
  server.onExit(({ reason, restarting }) => {
    const then = restarting
      ? "it is started again"
      : "it is not started again; publishes wait. See nats-server.log, then restart"
    process.stderr.write(`murmur: the nats-server has ended (${reason}); ${then}\n`)
  })
  running.add("server", () => server.stop())
  return server
}

/** In a container a server of its own would lose its store with the container, and no other node would find it. */
function noServer(): MurmurError {
  return new MurmurError(
    "Cannot start: no server is named, and none is started here (MURMUR_LOCAL_SERVER=off). Set NATS_URL, such as NATS_URL=nats://nats:4222, or give --nats <url>",
    { code: "NATS_URL_MISSING" },
  )
}

async function serve(
  node: MurmurNode,
  telemetry: RunningTelemetry,
  options: UpOptions,
  running: Running,
): Promise<HttpServer> {
  const { startHttp } = await import("../http/server.js")
  const { httpSettings } = await import("./http-settings.js")
  const { port, ...settings } = httpSettings(options, process.env)
  const listen = (port: number): Promise<HttpServer> =>
    startHttp(
      {
        readiness: () => node.readiness(),
        metricsText: () => telemetry.metricsText(),
        publish: (draft, publishOptions) => node.publish(draft, publishOptions),
        get webhooks() {
          return node.webhooks
        },
        telemetry: telemetry.telemetry,
      },
      { port, ...settings },
    )
  let http: HttpServer
  try {
    http = await listen(port ?? HTTP_PORT)
  } catch (error) {
    // the default port may belong to another mesh on this machine; a port that was asked for must be had
    if (port !== undefined || !(error instanceof MurmurError) || error.code !== "HTTP_PORT") throw error
    http = await listen(0)
  }
  running.add("HTTP server", () => http.close())
  await node.announceHttp(http.url)
  return http
}

function announce({ node, natsUrl, http }: Started, options: UpOptions): void {
  const agents = node.hosts.map(({ agent }) => agent.name)
  const sources = node.sources.map(({ source }) => source.name)
  if (options.json) {
    const line = {
      ready: true,
      http: http?.url ?? null,
      nats: natsUrl,
      mesh: options.mesh,
      node: node.id,
      agents,
      sources,
    }
    process.stdout.write(`${JSON.stringify(line)}\n`)
    return
  }
  const rows = [
    ["mesh", options.mesh],
    ["agents", agents.join(", ") || "none (name files or folders: murmur up <path>)"],
    ["sources", sources.join(", ") || "none"],
    ["nats", natsUrl],
    ["http", http?.url ?? "off"],
  ]
  const lines = rows.map(([name = "", value]) => `  ${name.padEnd(8)} ${value}`).join("\n")
  process.stdout.write(`\nmurmur ${VERSION} is up\n${lines}\n\nCtrl-C stops it.\n\n`)
}

/** Commands that the view suggests must find this mesh: those run in the same folder do, unless it is elsewhere. */
function viewOptions({ node, http }: Started, { nats, mesh }: UpOptions): ViewOptions {
  const url = nats === undefined || nats.includes("@") ? "" : ` --nats ${nats}` // never a password
  const flags = `${url}${mesh === "murmur" ? "" : ` --mesh ${mesh}`}`
  const takesGithub = node.webhooks.some(({ endpoint }) => endpoint.path === "/hooks/github")
  return { http: http?.url, flags, takesGithub: takesGithub && Boolean(process.env.GITHUB_WEBHOOK_SECRET) }
}

/** Aborted at the first SIGINT or SIGTERM; a second one ends the process at once. */
function stopSignal(): AbortSignal {
  const stopping = new AbortController()
  const onSignal = (): void => {
    if (stopping.signal.aborted) process.exit(1)
    stopping.abort()
  }
  process.on("SIGINT", onSignal)
  process.on("SIGTERM", onSignal)
  return stopping.signal
}
