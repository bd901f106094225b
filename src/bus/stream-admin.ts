import type { StreamConfig, StreamInfo } from "@nats-io/jetstream"
import { MurmurError } from "../errors.js"
import type { Link } from "./link.js"
import { apiCode, type Difference, STREAM_NOT_FOUND } from "./streams.js"

/** Gives a stream that is there the wanted settings. @throws MurmurError `STREAM_MIGRATE` */
export async function updateStream(
  { manager }: Link,
  stream: string,
  differences: readonly Pick<Difference, "setting" | "wanted">[],
): Promise<void> {
  const settings = Object.fromEntries(differences.map(({ setting, wanted }) => [setting, wanted]))
  try {
    await manager.streams.update(stream, settings as Partial<StreamConfig>)
  } catch (cause) {
    const reason = (cause as Error).message
    throw new MurmurError(`Cannot set up stream "${stream}": ${reason}`, { code: "STREAM_MIGRATE", cause })
  }
}

/** Removes a stream with all that is in it; fine when it is not there. */
export async function removeStream({ manager }: Link, stream: string): Promise<void> {
  try {
    await manager.streams.delete(stream)
  } catch (error) {
    if (apiCode(error) !== STREAM_NOT_FOUND) throw error
  }
}

/** Removes the messages of some subjects of a stream. */
export async function purgeSubjects({ manager }: Link, stream: string, filter: string): Promise<void> {
  await manager.streams.purge(stream, { filter })
}

/** The names of the streams that take a subject, or some of those that a pattern means. */
export async function streamNames({ manager }: Link, subject: string): Promise<string[]> {
  const names: string[] = []
  for await (const name of manager.streams.names(subject)) names.push(name)
  return names
}

/** The sequence of a stream's first message of some subjects; `undefined` when it has none, or is not there. */
export async function firstOf({ manager }: Link, stream: string, next_by_subj: string): Promise<number | undefined> {
  try {
    const query = { seq: 1, next_by_subj }
    return (await manager.streams.getMessage(stream, query))?.seq
  } catch (error) {
    if (apiCode(error) === STREAM_NOT_FOUND) return undefined
    throw error
  }
}

/** Streams, buckets and artifacts of one mesh. */
export async function listStreams({ manager }: Link, mesh: string): Promise<StreamInfo[]> {
  const streams: StreamInfo[] = []
  const prefixes = ["", "KV_", "OBJ_"].map((kind) => `${kind}${mesh}_`)
  for await (const info of manager.streams.list()) {
    if (prefixes.some((prefix) => info.config.name.startsWith(prefix))) streams.push(info)
  }
  return streams
}

/** The sequence of a stream's first message that is not older; `undefined` when there is none. */
export async function firstSince({ manager }: Link, stream: string, start_time: Date): Promise<number | undefined> {
  return (await manager.direct.getMessage(stream, { start_time }))?.seq
}
