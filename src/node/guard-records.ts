import { z } from "zod"
import type { Grant, GuardRecords } from "../agents/guards/ports.js"
import type { Bucket } from "../bus/bucket.js"
import type { BusCore } from "../bus/bus-core.js"
import { derivedId } from "../bus/ids.js"
import { isMurmurError } from "../errors.js"
import { openBucket } from "./buckets.js"

const CONFLICTS_MAX = 20

/** What an operator has granted one tree, all grants together. */
const GrantRecord = z.object({
  root: z.string(),
  hops: z.int().min(0),
  cycles: z.int().min(0),
  budgets: z.record(z.string(), z.int().min(0)),
  at: z.string(),
  by: z.string(),
})

const NOTHING: Grant = { hops: 0, cycles: 0, budgets: {} }

/** What a mesh remembers of its guards, in its bucket `guards`: grants by root, and what was announced. */
export class BucketGuardRecords implements GuardRecords {
  private constructor(private readonly bucket: Bucket) {}

  /** Opens the bucket, and creates it when it is not there. @throws MurmurError `BUCKET_OPEN` */
  static async open(bus: BusCore): Promise<BucketGuardRecords> {
    return new BucketGuardRecords(await openBucket(bus, "guards"))
  }

  async grantOf(root: string): Promise<Grant | undefined> {
    return GrantRecord.safeParse((await this.bucket.get(grantKey(root)))?.value).data
  }

  /**
   * Changes what a tree is granted. Of two who do it at a time each builds on what the other has written.
   *
   * @throws MurmurError `BUCKET_CONFLICT` when others write again and again
   */
  async grant(root: string, change: (before: Grant) => Grant): Promise<Grant> {
    for (let conflicts = 0; ; conflicts++) {
      const entry = await this.bucket.get(grantKey(root))
      const next = change(GrantRecord.safeParse(entry?.value).data ?? NOTHING)
      const record = { ...next, root, at: new Date().toISOString(), by: "cli" }
      try {
        if (entry === undefined) await this.bucket.create(grantKey(root), record)
        else await this.bucket.update(grantKey(root), record, entry.revision)
        return next
      } catch (error) {
        if (!isMurmurError(error) || error.code !== "BUCKET_CONFLICT" || conflicts >= CONFLICTS_MAX) throw error
      }
    }
  }

  async wasAnnounced(id: string): Promise<boolean> {
    return (await this.bucket.get(`told.${id}`)) !== undefined
  }

  async setAnnounced(id: string): Promise<void> {
    await this.bucket.put(`told.${id}`, { at: new Date().toISOString() })
  }
}

/** A root's id may hold what no key of a bucket may. */
function grantKey(root: string): string {
  return `grant.${derivedId("root", root)}`
}
