import type { HttpBindings } from "@hono/node-server"
import { type Context, Hono } from "hono"
import type { Span } from "../telemetry/ports.js"
import { intake } from "./events.js"
import { guardOf } from "./guard.js"
import { findHook, hooks, methodNotAllowed } from "./hooks.js"
import type { HttpNode } from "./node.js"
import { observeRequest } from "./observe.js"
import { HttpProblem, problemOf, problemResponse } from "./problem.js"
import { type RateLimit, TokenBucket } from "./rate-limit.js"

/** What the routes are built with. */
export interface AppOptions {
  readonly token: string | undefined
  readonly rateLimit: RateLimit
  readonly bodyBytesMax: number
  readonly answerTimeoutMs: number
  /** True once the server stops: connections are then not kept. */
  readonly closing: () => boolean
}

interface Env {
  Bindings: HttpBindings
  Variables: { span: Span | undefined }
}

/** All routes of a node. */
export function createApp(node: HttpNode, options: AppOptions): Hono<Env> {
  const app = new Hono<Env>()
  observeAll(app, node, options)

  app.get("/healthz", (c) => c.json({ ok: true }))
  app.get("/readyz", (c) => {
    const readiness = node.readiness()
    return c.json(readiness, readiness.ready ? 200 : 503)
  })
  app.get("/metrics", async (c) =>
    c.body(await node.metricsText(), 200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" }),
  )
  for (const path of ["/healthz", "/readyz", "/metrics"]) app.all(path, () => refuse(methodNotAllowed("GET, HEAD")))

  // Each door has its own bucket: a flood of unsigned webhooks does not keep out the producers that have a token.
  const takeEvents = intake(node, {
    ...options,
    guard: guardOf(options.token),
    bucket: new TokenBucket(options.rateLimit),
  })
  app.post("/events", (c) => takeEvents(c.req.raw, c.env, c.get("span")))
  app.all("/events", () => refuse(methodNotAllowed("POST")))

  const takeHook = hooks(node, { ...options, bucket: new TokenBucket(options.rateLimit) })
  app.all("/hooks/*", (c) => takeHook(c.req.raw, c.env))

  app.notFound(() => problemResponse(new HttpProblem(404, "NOT_FOUND", "There is nothing here")))
  app.onError((error, c) => answerError(node, error, c))
  return app
}

function refuse(problem: HttpProblem): never {
  throw problem
}

function observeAll(app: Hono<Env>, node: HttpNode, { closing }: AppOptions): void {
  app.use(async (c, next) => {
    const route = routeOf(node, c.req.path)
    const traced = c.req.method === "POST" && (route === "/events" || route.startsWith("/hooks/"))
    const observed = observeRequest(node.telemetry, c.req.raw, route, traced)
    c.set("span", observed.span)
    await (observed.span === undefined ? next() : observed.span.run(next))
    c.header("x-content-type-options", "nosniff")
    c.header("cache-control", "no-store")
    if (closing()) c.header("connection", "close")
    observed.end(c.res.status, c.res.status >= 500 ? c.error : undefined)
  })
}

/** Few and bounded, for metrics and span names: an unknown path is none of them. */
function routeOf(node: HttpNode, path: string): string {
  if (path === "/events" || path === "/healthz" || path === "/readyz" || path === "/metrics") return path
  return findHook(node, path) === undefined ? "other" : path
}

function answerError(node: HttpNode, error: Error, c: Context<Env>): Response {
  const { log, metrics } = node.telemetry
  const problem = problemOf(error)
  metrics.count("murmur.http.rejected", 1, { reason: problem.code })
  const fields = { err: error, method: c.req.method, route: routeOf(node, c.req.path), status: problem.status }
  if (problem.status === 500) log.error(fields, "an HTTP request failed")
  else log.debug(fields, "an HTTP request was refused")
  return problemResponse(problem)
}
