import { expect, test } from "vitest"
import { defineAgent } from "../agents/define-agent.js"
import { MurmurError } from "../errors.js"
import { defineSource } from "../sources/source.js"
import { select } from "./selection.js"

const agent = (name: string, nodeSelector?: Record<string, string>) =>
  defineAgent(name, { on: ["a.b"], handle: () => {}, ...(nodeSelector && { nodeSelector }) })
const source = (name: string, nodeSelector?: Record<string, string>) =>
  defineSource(name, { emits: [], run: async () => {}, nodeSelector })

const LOADED = {
  agents: [agent("triage"), agent("ci-notes"), agent("embed", { gpu: "true", zone: "eu" })],
  sources: [source("ci-hooks"), source("files", { disk: "shared" })],
}

function chosen(names: readonly string[] | undefined, labels: Record<string, string> = {}) {
  const { hosted, elsewhere, misfits } = select(LOADED, { names, labels })
  const all = [...hosted.agents, ...hosted.sources].map(({ name }) => name)
  return { all, elsewhere: elsewhere.map(({ name }) => name), misfits }
}

test("all is hosted that the node's labels fit", () => {
  expect(chosen(undefined).all).toEqual(["triage", "ci-notes", "ci-hooks"])
  expect(chosen(undefined, { gpu: "true" }).elsewhere).toEqual(["embed"])
  expect(chosen(undefined, { gpu: "true", zone: "eu", disk: "shared", more: "" }).all).toHaveLength(5)
})

test("names and patterns choose agents and sources alike; other agents are noted as hosted elsewhere", () => {
  expect(chosen(["ci-*"])).toEqual({ all: ["ci-notes", "ci-hooks"], elsewhere: ["triage", "embed"], misfits: [] })
  expect(chosen(["triage", "files"], { disk: "shared" }).all).toEqual(["triage", "files"])
  expect(chosen(["*"]).all).toEqual(chosen(undefined).all)
})

test("what was chosen and asks for other labels is told, with what it asks for", () => {
  const { all, misfits } = chosen(["embed"], { gpu: "true" })
  expect(all).toEqual([])
  expect(misfits).toEqual(['"embed" asks for a node with the labels gpu=true, zone=eu'])
})

test.each([
  ["triag", 'did you mean "triage"?'],
  ["x*", 'they define "triage", "ci-notes", "embed", "ci-hooks", "files"'],
  ["t.iage", 'did you mean "triage"?'],
])("%s, that the files do not define, is an error that says what they do", (name, hint) => {
  const choosing = (): unknown => select(LOADED, { names: [name], labels: {} })
  expect(choosing).toThrow(MurmurError)
  expect(choosing).toThrow(`the files define no agent or source of that name; ${hint}`)
})

test("labels that no node can have are refused where they are written", () => {
  expect(() => agent("a", { "a b": "x" })).toThrow("nodeSelector: its key must be letters")
  expect(() => agent("a", { gpu: true as unknown as string })).toThrow('the value of "gpu" must be text')
  expect(() => agent("a", "gpu" as never)).toThrow("nodeSelector must be an object of labels, is gpu")
  expect(() => source("a", { gpu: "a b" })).toThrow("nodeSelector: the value of")
})
