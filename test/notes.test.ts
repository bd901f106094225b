import { expect, it } from "vitest"
import editor from "../examples/notes/editor.js"
import { NoteAdded, NoteFiled, NoteSorted, NoteTitled } from "../examples/notes/events.js"
import librarian from "../examples/notes/librarian.js"
import models from "../examples/notes/models.js"
import sorter from "../examples/notes/sorter.js"
import { testAgent } from "../src/agents/test-agent.js"

it("the sorter finds the first topic of a note, in any script", async () => {
  const texts = ["milk #Shopping #later", "no topic", "gehört zu #Öl-Preis"]
  const { emitted } = await testAgent(sorter).when(...texts.map((text) => NoteAdded({ text })))
  expect(emitted.map(({ data }) => (data as { topic: string }).topic)).toEqual(["shopping", "other", "öl-preis"])
})

it("the librarian numbers the notes of each topic by themselves", async () => {
  const note = (topic: string) => NoteSorted({ text: "a note", topic })
  const { emitted } = await testAgent(librarian).given(note("work")).when(note("work"), note("home"))
  expect(emitted.map(({ data }) => data)).toEqual([
    NoteFiled({ topic: "work", number: 2 }).data,
    NoteFiled({ topic: "home", number: 1 }).data,
  ])
})

it("the editor lets a model title long notes, and is not asked about short ones", async () => {
  const long = NoteSorted({ text: `Tomorrow ${"we plan ".repeat(40)}`, topic: "work" })
  const { emitted, skipped } = await testAgent(editor, { models }).when(
    NoteSorted({ text: "short", topic: "work" }),
    long,
  )
  expect(skipped).toHaveLength(1)
  expect(emitted.filter(({ type }) => type === NoteTitled.type)).toEqual([
    expect.objectContaining({ data: { topic: "work", title: expect.stringMatching(/\S/) } }),
  ])
})
