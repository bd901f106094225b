import { MurmurError } from "../errors.js"

/** How a mesh keeps artifacts. All but `sizeMax` count when the bucket is made. */
export interface ArtifactOptions {
  /** How large one artifact may be, in bytes. Default 32 MiB. */
  readonly sizeMax?: number
  /** How many bytes all of them may have; what comes then is refused. Default 1 GiB, or less where the server has less room. */
  readonly bytesMax?: number
  /** How long an artifact is kept after it was put, in milliseconds. Default 30 days. */
  readonly ageMsMax?: number
  /** In how many copies. Default: as many as the mesh's events have. */
  readonly replicas?: 1 | 3 | 5
}

export type Limits = Required<Omit<ArtifactOptions, "replicas">> & Pick<ArtifactOptions, "replicas">

const DEFAULTS: Limits = { sizeMax: 32 * 1024 ** 2, bytesMax: 1024 ** 3, ageMsMax: 30 * 86_400_000 }
const KNOWN = [...Object.keys(DEFAULTS), "replicas"]
const NAME_CHARS_MAX = 200
const MEDIA_TYPE = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?:; ?[\w-]+=[\w."-]+)*$/
const ID = /^[0-9a-f]{64}$/

/** @throws MurmurError `ARTIFACT_OPTION` */
export function checkArtifactOptions(options: ArtifactOptions): Limits {
  const unknown = Object.keys(options).find((option) => !KNOWN.includes(option))
  if (unknown !== undefined) {
    throw wrong(`Cannot open the artifacts: unknown option "${unknown}" (known: ${KNOWN.join(", ")})`)
  }
  const limits = { ...DEFAULTS, ...options }
  for (const [option, value] of Object.entries(limits)) {
    if (value === undefined) continue
    if (!Number.isSafeInteger(value) || value < 1) {
      throw wrong(`Cannot open the artifacts: ${option} must be an integer from 1, is ${String(value)}`)
    }
  }
  if (limits.replicas !== undefined && ![1, 3, 5].includes(limits.replicas)) {
    throw wrong(`Cannot open the artifacts: replicas must be 1, 3 or 5, is ${limits.replicas}`)
  }
  return limits
}

/** @throws MurmurError `ARTIFACT_TOO_LARGE`, `ARTIFACT_OPTION` */
export function checkPut(
  bytes: Uint8Array,
  options: { readonly name?: string | undefined; readonly mediaType?: string | undefined },
  { sizeMax }: Pick<Limits, "sizeMax">,
): void {
  if (!(bytes instanceof Uint8Array)) throw wrong(`Cannot keep an artifact: it must be bytes, is ${typeof bytes}`)
  const { name, mediaType, ...others } = options
  const [unknown] = Object.keys(others)
  if (unknown !== undefined) {
    throw wrong(`Cannot keep an artifact: unknown option "${unknown}" (known: name, mediaType)`)
  }
  if (name !== undefined && (typeof name !== "string" || name === "" || name.length > NAME_CHARS_MAX)) {
    throw wrong(`Cannot keep an artifact: its name must have 1 to ${NAME_CHARS_MAX} characters, is ${short(name)}`)
  }
  if (mediaType !== undefined && !(typeof mediaType === "string" && MEDIA_TYPE.test(mediaType))) {
    throw wrong(`Cannot keep an artifact: its mediaType must be like text/plain, is ${short(mediaType)}`)
  }
  if (bytes.length > sizeMax) {
    throw new MurmurError(`Cannot keep an artifact of ${bytes.length} bytes: it may have ${sizeMax} (sizeMax)`, {
      code: "ARTIFACT_TOO_LARGE",
      details: { size: bytes.length, sizeMax },
    })
  }
}

/** @throws MurmurError `ARTIFACT_ID` */
export function checkId(id: string): void {
  if (typeof id === "string" && ID.test(id)) return
  throw new MurmurError(`Cannot look for artifact ${short(id)}: its id must be 64 hexadecimal digits`, {
    code: "ARTIFACT_ID",
  })
}

const short = (value: unknown): string => JSON.stringify(value)?.slice(0, 80) ?? String(value)

function wrong(message: string): MurmurError {
  return new MurmurError(message, { code: "ARTIFACT_OPTION" })
}
