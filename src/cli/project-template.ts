/** What goes into a project's files. */
export interface ProjectFacts {
  readonly name: string
  /** Where npm finds murmur; `undefined` when nobody can say. */
  readonly murmur: string | undefined
  /** Versions of the tools. */
  readonly versions: Readonly<Record<string, string>>
}

/** The files of a new project: content by path. */
export function projectFiles({ name, murmur, versions }: ProjectFacts): Record<string, string> {
  const manifest = {
    name,
    private: true,
    type: "module",
    scripts: { start: "murmur up .", test: "vitest run", check: "tsc" },
    devDependencies: { ...(murmur !== undefined && { murmur }), ...versions },
  }
  return {
    "package.json": json(manifest),
    "tsconfig.json": json(TSCONFIG),
    ".gitignore": "node_modules/\n.murmur/\n",
    "events.ts": EVENTS,
    "agents/word-counter.ts": AGENT,
    "agents/word-counter.test.ts": TEST,
  }
}

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`

const TSCONFIG = {
  compilerOptions: {
    target: "es2023",
    module: "nodenext",
    types: [],
    strict: true,
    noUncheckedIndexedAccess: true,
    verbatimModuleSyntax: true,
    skipLibCheck: true,
    noEmit: true,
  },
  include: ["**/*.ts"],
}

const EVENTS = `import { defineEvent } from "murmur"
import { z } from "zod"

/** Somebody wrote a note. Its notebook is the key: notes of one notebook are handled one after the other. */
export const NoteAdded = defineEvent("note.added", z.object({ notebook: z.string(), text: z.string() }), {
  key: (note) => note.notebook,
  description: "Somebody wrote a note",
})

/** A note was measured. */
export const NoteMeasured = defineEvent("note.measured", z.object({ notebook: z.string(), words: z.number().int() }), {
  key: (note) => note.notebook,
  description: "How many words a note has",
})
`

const AGENT = `import { defineAgent } from "murmur"
import { NoteAdded, NoteMeasured } from "../events.js"

/** Counts the words of every note. */
export default defineAgent("word-counter", {
  on: [NoteAdded],
  emits: [NoteMeasured],
  description: "Counts the words of every note",
  handle(event, ctx) {
    const { notebook, text } = event.data
    const words = text.split(/\\s+/).filter((word) => word !== "").length
    ctx.emit(NoteMeasured({ notebook, words }))
  },
})
`

const TEST = `import { testAgent } from "murmur"
import { expect, test } from "vitest"
import { NoteAdded } from "../events.js"
import wordCounter from "./word-counter.js"

test("a note is measured by its words", async () => {
  const { emitted } = await testAgent(wordCounter).when(NoteAdded({ notebook: "inbox", text: "hello there" }))
  expect(emitted).toMatchObject([{ type: "note.measured", key: "inbox", data: { words: 2 } }])
})
`
