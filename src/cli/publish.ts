import { readFile } from "node:fs/promises"
import type { BusCore } from "../bus/bus-core.js"
import type { EventDraft } from "../bus/event.js"
import { freshId } from "../bus/ids.js"
import type { PublishAck } from "../bus/publisher.js"
import { checkType } from "../bus/subjects.js"
import { isMurmurError, MurmurError } from "../errors.js"
import type { Cli } from "./cli.js"
import { requireMesh, withMesh } from "./connect.js"
import { type Failure, type Numbered, publishAll } from "./publish-pipeline.js"
import { startCommandTracing, tracedPublish } from "./publish-tracing.js"
import { checkedArgument, usageError } from "./usage.js"

/** Options of `murmur publish`. */
export interface PublishCommandOptions {
  key?: string
  id?: string
  data?: unknown
  file?: string
  asData?: boolean
}

/** How long one event is tried, in milliseconds. */
const PUBLISH_MS = 10_000

/** `murmur publish <type>`: one event, or one for each line of standard input. */
export async function publish(cli: Cli, [type, input]: [string, string?], options: PublishCommandOptions) {
  checkedArgument(() => checkType(type))
  checkUsage(input, options)
  const events = input === "-" ? fromInput(type, options) : [{ line: 0, draft: await single(type, options) }]
  const { tracing, end } = await startCommandTracing(cli.options.mesh)
  // a reader that leaves must not leave half of the input unpublished
  cli.out.onClosed = () => {}
  try {
    const use = { deadlineMs: Number.POSITIVE_INFINITY, patient: true, check: false }
    await withMesh(
      cli.options,
      async (bus) => {
        const send = (draft: EventDraft): Promise<PublishAck> =>
          tracedPublish(tracing, draft, (traced, { trace }) =>
            bus.publish(traced, { producer: "cli", trace, timeoutMs: PUBLISH_MS }),
          )
        const publishing = publishAll(events, send, (ack) => print(cli, ack))
        const { stored, failure } = await Promise.race([publishing, meshMissing(bus)])
        if (failure !== undefined) throw explained(failure, stored, input === "-")
      },
      use,
    )
  } finally {
    await end()
  }
}

function checkUsage(input: string | undefined, options: PublishCommandOptions): void {
  if (input !== undefined && input !== "-") {
    throw usageError(`the data is given by --data <json>, --file <file>, or "-" for standard input, not by "${input}"`)
  }
  const given = [input, options.data, options.file].filter((value) => value !== undefined)
  if (given.length > 1) throw usageError('--data, --file and "-" exclude each other')
  if (options.id === "") throw usageError("--id must not be empty")
  if (input === "-" && options.id !== undefined) throw usageError('--id is for one event; lines bring their own "id"')
  if (input !== "-" && options.asData) throw usageError('--as-data is for lines of standard input ("-")')
}

async function single(type: string, { key, id, data, file }: PublishCommandOptions): Promise<EventDraft> {
  return { type, key, id: id ?? freshId(), data: file === undefined ? (data ?? null) : await readJson(file) }
}

async function readJson(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, "utf8"))
  } catch (cause) {
    const what = cause instanceof SyntaxError ? "it is not JSON: " : ""
    throw new MurmurError(`Cannot publish "${file}": ${what}${(cause as Error).message}`, { code: "INPUT_FILE", cause })
  }
}

async function* fromInput(type: string, { key, asData = false }: PublishCommandOptions): AsyncGenerator<Numbered> {
  const [{ readLines }, { draftOfLine }] = await Promise.all([import("./lines.js"), import("./publish-line.js")])
  for await (const line of readLines(process.stdin)) {
    const draft = draftOfLine(line, { type, key, asData })
    yield { line: line.number, draft: { ...draft, id: draft.id ?? freshId() } }
  }
}

/** Rejects when the mesh is not there, and else says nothing: the look costs no time, since nobody waits for it. */
function meshMissing(bus: BusCore): Promise<never> {
  return new Promise<never>((_, reject) => {
    requireMesh(bus).catch((error) => {
      if (isMurmurError(error)) reject(error) // credentials that may publish need not be allowed to look
    })
  })
}

function print({ options, out }: Cli, { id, seq, type, key, duplicate }: PublishAck): Promise<void> {
  if (!options.json) return out.line(`${id} ${seq}`)
  return out.line(JSON.stringify({ id, seq, type, key: key ?? null, ...(duplicate && { duplicate }) }))
}

/** Says which line it was, and under which id an event whose fate is unknown may be published again. */
function explained({ event, error }: Failure, stored: number, many: boolean): Error {
  if (!isMurmurError(error)) return error
  const where = many && event !== undefined ? `line ${event.line}: ` : ""
  const unknown = event !== undefined && ["BUS_UNAVAILABLE", "BUS_CLOSED"].includes(error.code)
  const id = unknown ? `. Its id is ${event.draft.id}` : ""
  const end = many ? ` (stored before it stopped: ${stored})` : ""
  return new MurmurError(`${where}${error.message}${id}${end}`, {
    code: error.code,
    cause: error,
    details: { stored, ...(event && { id: event.draft.id, line: event.line }) },
  })
}
