import { mkdir, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { defineSource, filesystem } from "murmur"
import { DRAFTS, SPECS } from "../folders.js"

/** The specs that came with the example. What you edit while it runs, or while it is down, becomes an event. */
export const specs = filesystem("specs", { path: SPECS, initial: "all" })

const watched = filesystem("drafts", { path: DRAFTS, initial: "all" })

/** A source is a value and can be wrapped: this one makes its folder first. */
export const drafts = defineSource("drafts", {
  description: "Specs that are being written",
  emits: watched.emits,
  async run(ctx) {
    await mkdir(DRAFTS, { recursive: true })
    await watched.run?.(ctx)
  },
})

const EVERY_MS = 20_000

/**
 * Stands in for the person who writes a spec: saves a draft every 20 seconds. It publishes nothing; `drafts` sees the file.
 * A source remembers through `ctx.state`, so a second start goes on with the next version.
 */
export const author = defineSource("spec-author", {
  description: "Edits a draft now and then, so that there is something to see",
  emits: [],
  async run({ state, signal }) {
    await mkdir(DRAFTS, { recursive: true })
    for (let version = (await state.get<number>("version")) ?? 0; !signal.aborted; version += 1) {
      await writeFile(join(DRAFTS, "returns.md"), VERSIONS[version % VERSIONS.length] ?? "")
      await state.put("version", version + 1)
      await sleep(version === 0 ? 4_000 : EVERY_MS, undefined, { signal }).catch(() => {})
    }
  },
})

const VERSIONS = [
  `# Returns

- R-1: A customer can return an item within 14 days.
- R-2: The refund is paid within 5 working days.

## Open

- [ ] Who pays the postage?
- [ ] What about opened boxes?
`,
  `# Returns

- R-1: A customer can return an item within 30 days.
- R-2: The refund is paid within 5 working days.
- R-3: We pay the postage when the item was faulty.

## Open

- [ ] What about opened boxes?
`,
  `# Returns

- R-1: A customer can return an item within 30 days.
- R-2: The refund is paid within 5 working days.
- R-3: We pay the postage when the item was faulty.
- R-4: Opened boxes are refunded at 80 %.
`,
]
