/** What is known of an artifact. */
export interface ArtifactInfo {
  /** SHA-256 of its bytes, 64 hexadecimal digits: the same bytes are the same artifact. */
  readonly id: string
  /** In bytes. */
  readonly size: number
  readonly mediaType: string
  /** As who put it first called it; for people. */
  readonly name: string | undefined
}

/** An artifact. */
export interface Artifact extends ArtifactInfo {
  readonly bytes: Uint8Array
}

/** How an artifact is put. */
export interface PutArtifactOptions {
  /** For people: a file name, a title. At most 200 characters. */
  readonly name?: string | undefined
  /** Default `application/octet-stream`. */
  readonly mediaType?: string | undefined
}

/** Bytes that are too many for events and messages, kept by the mesh under what they are: putting twice is putting once. */
export interface ArtifactPort {
  /** @throws MurmurError `ARTIFACT_TOO_LARGE`, `ARTIFACT_OPTION`, `ARTIFACTS_FULL` */
  put(bytes: Uint8Array, options?: PutArtifactOptions): Promise<ArtifactInfo>
  /** `undefined` when there is none, or none any more. @throws MurmurError `ARTIFACT_ID`, `ARTIFACT_DAMAGED` */
  get(id: string): Promise<Artifact | undefined>
}
