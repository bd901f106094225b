import { createHash } from "node:crypto"
import type { ObjectInfo, ObjectStore } from "@nats-io/obj"
import { ensureError, isMurmurError, MurmurError } from "../errors.js"
import { type ArtifactOptions, checkArtifactOptions, checkId, checkPut, type Limits } from "./artifact-options.js"
import { throughElection } from "./ask.js"
import type { BusCore } from "./bus-core.js"
import { notDeployed } from "./consumers.js"
import type { Link } from "./link.js"
import { readDirect } from "./read-direct.js"
import { isNoRoom } from "./stream-room.js"
import { apiCode, replicasOfMesh, streamInfo } from "./streams.js"
import type { MeshNames } from "./subjects.js"

/** What is known of an artifact. */
export interface ArtifactRecord {
  /** SHA-256 of its bytes, 64 hexadecimal digits: the same bytes are the same artifact. */
  readonly id: string
  /** In bytes. */
  readonly size: number
  readonly mediaType: string
  /** As who put it first called it. */
  readonly name: string | undefined
  /** When it was put. */
  readonly at: Date
}

/** The server's words for a full stream, which refuses what is new. */
const FULL = /maximum bytes exceeded|insufficient (?:storage )?resources/i
const TWICE = { harmlessTwice: true }
const WITHOUT_NAME = "application/octet-stream"

/**
 * Bytes that are too many for a message, in the mesh's object store `<mesh>_ARTIFACTS`. An artifact's id is the hash of
 * its bytes: putting twice is putting once, and what is got is what was put, or an error.
 */
export class Artifacts {
  private constructor(
    private readonly link: Link,
    private readonly bucket: string,
    private readonly store: ObjectStore,
    private readonly limits: Limits,
  ) {}

  /**
   * Opens the mesh's artifacts; makes their bucket when it is not there. What exists keeps its retention.
   *
   * @throws MurmurError `ARTIFACT_OPTION`, `BUCKET_OPEN`
   */
  static async open(bus: Pick<BusCore, "link" | "names">, options: ArtifactOptions = {}): Promise<Artifacts> {
    const limits = checkArtifactOptions(options)
    const bucket = artifactsBucket(bus.names)
    const { Objm } = await import("@nats-io/obj")
    const manager = new Objm(bus.link.client)
    const make = async (max_bytes: number): Promise<ObjectStore> => {
      const replicas = limits.replicas ?? (await replicasOfMesh(bus.link, bus.names))
      return manager.create(bucket, { ttl: limits.ageMsMax * 1_000_000, max_bytes, replicas })
    }
    try {
      const isThere = (await throughElection(() => streamInfo(bus.link.manager, `OBJ_${bucket}`), TWICE)) !== undefined
      if (!isThere && bus.link.rights.restricted) throw notDeployed(`object store "${bucket}"`)
      const store = isThere ? await manager.open(bucket, false) : await makeWithinRoom(make, limits.bytesMax)
      return new Artifacts(bus.link, bucket, store, limits)
    } catch (cause) {
      if (isMurmurError(cause)) throw cause
      throw new MurmurError(`Cannot open bucket "${bucket}": ${ensureError(cause).message}`, {
        code: "BUCKET_OPEN",
        cause,
      })
    }
  }

  /**
   * Keeps bytes. What is there already is kept as it is; when half of its time is over, its time begins again.
   *
   * @throws MurmurError `ARTIFACT_TOO_LARGE`, `ARTIFACT_OPTION`, `ARTIFACTS_FULL`, `BUS_UNAVAILABLE`
   */
  async put(
    bytes: Uint8Array,
    options: { readonly name?: string | undefined; readonly mediaType?: string | undefined } = {},
  ): Promise<ArtifactRecord> {
    checkPut(bytes, options, this.limits)
    const id = artifactId(bytes)
    const found = await this.#info(id)
    if (found !== undefined && Date.now() - found.at.getTime() < this.limits.ageMsMax / 2) return found
    const { name = found?.name, mediaType = found?.mediaType ?? WITHOUT_NAME } = options
    const metadata = { mediaType, ...(name !== undefined && { name }) }
    try {
      return record(await this.store.putBlob({ name: id, metadata }, bytes))
    } catch (cause) {
      throw cannotPut(id, bytes.length, cause)
    }
  }

  /** @returns `undefined` when there is none, or none any more @throws MurmurError `ARTIFACT_ID`, `ARTIFACT_DAMAGED` */
  async get(id: string): Promise<(ArtifactRecord & { readonly bytes: Uint8Array }) | undefined> {
    checkId(id)
    const found = await this.#info(id)
    if (found === undefined) return undefined
    const bytes = await this.#read(id)
    if (bytes === undefined) return undefined
    if (artifactId(bytes) === id) return { ...found, bytes }
    throw new MurmurError(`Artifact ${id} is damaged: the hash of its ${bytes.length} bytes is not its id`, {
      code: "ARTIFACT_DAMAGED",
      details: { id },
    })
  }

  /** What there is, newest first. */
  async list(): Promise<ArtifactRecord[]> {
    const all = await this.store.list()
    return all
      .filter(({ deleted }) => !deleted)
      .map(record)
      .sort((a, b) => b.at.getTime() - a.at.getTime())
  }

  /** Removes one; fine when it is not there. @throws MurmurError `ARTIFACT_ID` */
  async delete(id: string): Promise<void> {
    checkId(id)
    if ((await this.#info(id)) !== undefined) await this.store.delete(id)
  }

  /** Its chunks, without a consumer: whoever uses artifacts needs no right to make one. */
  async #read(id: string): Promise<Buffer | undefined> {
    const info = await this.store.info(id)
    if (info === null || info.deleted) return undefined
    const chunks: Uint8Array[] = []
    const read = { stream: `OBJ_${this.bucket}`, filter: `$O.${this.bucket}.C.${info.nuid}`, from: { seq: 1 } }
    for await (const { data } of readDirect(this.link, read)) chunks.push(data)
    return Buffer.concat(chunks)
  }

  async #info(id: string): Promise<ArtifactRecord | undefined> {
    const info = await this.store.info(id)
    return info === null || info.deleted ? undefined : record(info)
  }
}

/** What the mesh's object store is called. */
export function artifactsBucket({ mesh }: MeshNames): string {
  return `${mesh}_ARTIFACTS`
}

/** The stream that keeps a mesh's artifacts. */
export function artifactsStream(names: MeshNames): string {
  return `OBJ_${artifactsBucket(names)}`
}

/** The id of what has these bytes. */
export function artifactId(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex")
}

function record({ name: id, size, metadata, mtime }: ObjectInfo): ArtifactRecord {
  const { name, mediaType = WITHOUT_NAME } = metadata ?? {}
  return { id, size, mediaType, name, at: new Date(mtime) }
}

const BYTES_MIN = 16 * 1024 ** 2

/**
 * A server with less room gets a smaller bucket: what is wanted is quartered until it is accepted, so that some room is left
 * for what reserves nothing.
 */
async function makeWithinRoom(make: (bytes: number) => Promise<ObjectStore>, wanted: number): Promise<ObjectStore> {
  for (let bytes = wanted; ; bytes = Math.max(BYTES_MIN, Math.floor(bytes / 4))) {
    try {
      return await make(bytes)
    } catch (error) {
      if (bytes <= BYTES_MIN || !isNoRoom(error)) throw error
    }
  }
}

function cannotPut(id: string, size: number, cause: unknown): MurmurError {
  const { message } = ensureError(cause)
  const full = FULL.test(message) || apiCode(cause) === 10077
  const why = full ? "the bucket is full: delete artifacts, or make it larger (bytesMax)" : message
  return new MurmurError(`Cannot keep artifact ${id} (${size} bytes): ${why}`, {
    code: full ? "ARTIFACTS_FULL" : "BUS_UNAVAILABLE",
    cause,
    details: { id, size },
  })
}
