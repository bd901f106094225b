import { z } from "zod"
import { errorCode, MurmurError } from "../errors.js"
import { codeRouteId, isCodeId, type LocalRoute, type Route, routeSchema, sameRoute, travelling } from "./route.js"

/** What the live copy of the table needs of a bucket of JSON values; the bus has one on NATS KV. */
export interface RouteBucket {
  get(key: string): Promise<{ readonly value: unknown; readonly revision: number } | undefined>
  put(key: string, value: unknown): Promise<number>
  /** Fails with the code `BUCKET_CONFLICT` when the key is there. */
  create(key: string, value: unknown): Promise<number>
  /** Fails with the code `BUCKET_CONFLICT` when the key has another revision. */
  update(key: string, value: unknown, revision: number): Promise<number>
  delete(key: string): Promise<void>
  entries(): AsyncIterable<BucketRecord>
  /** What the bucket holds, then `synced` once, then changes. A deleted key has the value `undefined`. */
  watch(options: { signal: AbortSignal }): AsyncIterable<BucketRecord | { readonly synced: true }>
}

interface BucketRecord {
  readonly key: string
  readonly value: unknown
  readonly revision: number
}

/** One record of the bucket: a route, or a route of an agent's code that was switched off for the whole mesh. */
export type RouteRecord =
  | { readonly kind: "route"; readonly route: Route }
  | { readonly kind: "disabled"; readonly id: string }

const recordSchema: z.ZodType<RouteRecord> = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("route"), route: routeSchema }),
  z.strictObject({ kind: z.literal("disabled"), id: z.string().min(1) }),
])

/** The id of a route as a key of the bucket: what a key may not hold is written as `=` and two hexadecimal digits. */
export function routeKey(id: string): string {
  return id.replace(/[^-/_.a-zA-Z0-9]/g, (char) => `=${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`)
}

/**
 * Reads one record.
 *
 * @throws MurmurError `ROUTE_RECORD` when it is none of ours, or lies under the key of another route
 */
export function parseRecord(key: string, value: unknown): RouteRecord {
  const checked = recordSchema.safeParse(value)
  const issue = checked.success ? undefined : checked.error.issues[0]
  const reason = checked.success
    ? routeKey(recordId(checked.data)) === key
      ? undefined
      : `it is the record of "${recordId(checked.data)}"`
    : `${issue?.path.join(".") ?? ""}: ${issue?.message ?? ""}`
  if (checked.success && reason === undefined) return checked.data
  throw new MurmurError(`Cannot read the route record "${key}": ${reason}`, { code: "ROUTE_RECORD", details: { key } })
}

export function recordId(record: RouteRecord): string {
  return record.kind === "route" ? record.route.id : record.id
}

/**
 * Adds a route to the running mesh; adding it again changes nothing. When the code of the agent declares the very same
 * route and it was removed, that one is switched on again instead. Check it with `checkRoute` first.
 *
 * @returns the route as it is now in the table
 */
export async function addRoute(bucket: RouteBucket, route: Route): Promise<Route> {
  const codeId = codeRouteId(route.agent, route.pattern, route.filter)
  const found = await bucket.get(routeKey(codeId))
  const switchedOff = found !== undefined && tryParse(routeKey(codeId), found.value)?.kind === "disabled"
  const added = switchedOff ? { ...travelling(route), id: codeId, origin: "code" as const } : travelling(route)
  await bucket.put(routeKey(added.id), { kind: "route", route: added })
  return added
}

/**
 * Removes a route from the running mesh. A live route is deleted; a route of an agent's code is switched off on all nodes
 * until somebody adds it again, also over restarts, whether or not it was declared yet: look it up in the table first.
 *
 * @throws MurmurError `ROUTE_UNKNOWN` when the bucket has no live route of this id
 */
export async function removeRoute(bucket: RouteBucket, id: string): Promise<void> {
  const key = routeKey(id)
  if (isCodeId(id)) {
    await bucket.put(key, { kind: "disabled", id })
    return
  }
  if ((await bucket.get(key)) === undefined) {
    throw new MurmurError(`Cannot remove route "${id}": the mesh has no live route of this id (see "murmur routes")`, {
      code: "ROUTE_UNKNOWN",
      details: { route: id },
    })
  }
  await bucket.delete(key)
}

/** A record that is not as the code of some agents declares it. */
export interface RouteDifference {
  readonly key: string
  readonly id: string
  /** What is there, unless it is a route that somebody switched off. */
  readonly found: Route | undefined
  /** What is declared; `undefined` for what is not any more. */
  readonly wanted: Route | undefined
  /** Of what is there; 0 for nothing. */
  readonly revision: number
}

/**
 * What {@link declareRoutes} would change.
 *
 * @param agents whose code this is; named because an agent may have lost all its routes
 */
export async function compareRoutes(
  bucket: Pick<RouteBucket, "entries">,
  agents: readonly string[],
  routes: readonly LocalRoute[],
): Promise<RouteDifference[]> {
  const declared = new Map(routes.map((route) => [routeKey(route.id), travelling(route)]))
  const missing = new Map(declared)
  const differences: RouteDifference[] = []
  for await (const { key, value, revision } of bucket.entries()) {
    missing.delete(key)
    const wanted = declared.get(key)
    const record = tryParse(key, value)
    const gone = wanted === undefined && record !== undefined && isOf(record, agents)
    if (!gone && (wanted === undefined || !isOutdated(record, wanted))) continue
    const found = record?.kind === "route" ? record.route : undefined
    const id = wanted?.id ?? (record === undefined ? key : recordId(record))
    differences.push({ key, id, found, wanted, revision })
  }
  for (const [key, wanted] of missing) {
    differences.push({ key, id: wanted.id, found: undefined, wanted, revision: 0 })
  }
  return differences
}

/**
 * Writes down the routes that the code of these agents declares, so that nodes which do not host them know them too:
 * exclusive routes are decided everywhere, and the CLI lists them. Records of these agents that the code no longer
 * declares are deleted. What was switched off stays so.
 *
 * @param agents whose code this is; named because an agent may have lost all its routes
 */
export async function declareRoutes(
  bucket: RouteBucket,
  agents: readonly string[],
  routes: readonly LocalRoute[],
): Promise<void> {
  for (const { key, wanted: route, revision } of await compareRoutes(bucket, agents, routes)) {
    if (route === undefined) await bucket.delete(key)
    else if (revision > 0) await unlessRaced(bucket.update(key, { kind: "route", route }, revision))
    else await unlessRaced(bucket.create(key, { kind: "route", route }))
  }
}

/** Everything that a bucket says of routes. What cannot be read is left out. */
export async function readRecords(bucket: Pick<RouteBucket, "entries">): Promise<RouteRecord[]> {
  const records: RouteRecord[] = []
  for await (const { key, value } of bucket.entries()) {
    const record = tryParse(key, value)
    if (record !== undefined) records.push(record)
  }
  return records
}

function isOutdated(record: RouteRecord | undefined, route: Route): boolean {
  return record === undefined || (record.kind === "route" && !sameRoute(record.route, route))
}

/** Whether it is the record of a route in the code of one of the agents. */
function isOf(record: RouteRecord, agents: readonly string[]): boolean {
  if (record.kind === "route") return record.route.origin === "code" && agents.includes(record.route.agent)
  return agents.some((agent) => record.id.startsWith(`${agent}/`))
}

/** Another node with the same code, or somebody who switches the route off, may write first: theirs stands. */
async function unlessRaced(write: Promise<number>): Promise<void> {
  try {
    await write
  } catch (error) {
    if (errorCode(error) !== "BUCKET_CONFLICT") throw error
  }
}

function tryParse(key: string, value: unknown): RouteRecord | undefined {
  try {
    return parseRecord(key, value)
  } catch {
    return undefined
  }
}
