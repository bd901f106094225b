import { describe, expect, test } from "vitest"
import { z } from "zod"
import { type AgentDefinition, defineAgent } from "../../agents/define-agent.js"
import { defineTool } from "../../agents/tools/define-tool.js"
import { defineEvent } from "../../bus/define-event.js"
import { MeshNames } from "../../bus/subjects.js"
import { defineSource } from "../../sources/source.js"
import { agentRecord, sourceRecord } from "../catalogue.js"
import { compileRights } from "./compile.js"
import { declarationFromCatalogue, declarationOf } from "./declaration.js"
import { checkRights } from "./invariants.js"
import { accountsConfig } from "./server-config.js"

const Tick = defineEvent("market.tick", z.object({ price: z.number() }))
const Alarm = defineEvent("market.alarm", z.object({}))
const tool = defineTool({ name: "t", description: "t", input: z.object({}), effect: "read", run: () => null })

const watcher = defineAgent("watcher", { on: [Tick], emits: [Alarm], handle() {} }) as AgentDefinition
const folder = defineAgent("folder", {
  on: [Tick],
  emits: [Alarm],
  react: (ticks) => ticks as never,
}) as AgentDefinition
const feed = defineSource("feed", { emits: [Tick], run: async () => {} })

const names = new MeshNames("m")
const none = { agents: [], sources: [] }
const key = (letter: string): string => `U${letter.repeat(55)}`
const rightsOf = (...agents: AgentDefinition[]) => compileRights(names, declarationOf({ agents, sources: [] })).publish

describe("rights", () => {
  test("a whole configuration of a server", () => {
    const { publish } = compileRights(names, { ...declarationOf({ agents: [watcher], sources: [feed] }), intake: true })
    const config = accountsConfig({
      system: [{ name: "sys", keys: [key("S")] }],
      admins: [{ name: "deployer", keys: [key("D")] }],
      nodes: [{ name: "web", keys: [key("B"), key("A")], publish }],
    })
    expect(config).toMatchSnapshot()
  })

  test("follow the partitions and the ordering of an agent", () => {
    const wide = rightsOf({ ...watcher, partitions: 8 })
    expect(wide.filter((subject) => subject.startsWith("$JS.API.CONSUMER.MSG.NEXT.m_EVENTS."))).toHaveLength(16)
    expect(rightsOf({ ...watcher, ordering: "none" })).toContain("$JS.ACK.m_EVENTS.watcher=any.>")
  })

  test("are no more than what is declared asks for", () => {
    expect(rightsOf(watcher).filter((subject) => /PURGE|ARTIFACTS|MEMOS/.test(subject))).toEqual([])
    expect(rightsOf({ ...watcher, tools: [tool] as never })).toContain("$KV.m_MEMOS.>")
    expect(rightsOf(folder).filter((subject) => /llm-|inbox|wake=|question/.test(subject))).toEqual([
      ...["DIRECT.GET", "DIRECT.GET.>", "INFO", "MSG.GET"].map((request) => readOfQuestions(request)),
    ])
    const source = compileRights(names, declarationOf({ agents: [], sources: [feed] })).publish
    expect(source.filter((subject) => /m\.(ses|step|dead|budget|usage)/.test(subject))).toEqual([])
  })

  test("by the catalogue cover those by the code", () => {
    const byCode = compileRights(names, declarationOf({ agents: [watcher, folder], sources: [feed] })).publish
    const records = [agentRecord(watcher), agentRecord(folder), sourceRecord(feed)]
    const byCatalogue = new Set(compileRights(names, declarationFromCatalogue(records)).publish)
    expect(byCode.filter((subject) => !byCatalogue.has(subject))).toEqual([])
  })

  test("let one request go one way only", () => {
    const chatty = { ...watcher, emits: [Alarm, defineEvent("murmur.task.other", z.object({}))] }
    const subjects = rightsOf(chatty as AgentDefinition)
    expect(subjects).toContain("m.ev.watcher.*.murmur.task.*")
    expect(subjects).not.toContain("m.ev.watcher.*.murmur.task.other")
  })
})

function readOfQuestions(request: string): string {
  if (!request.startsWith("DIRECT")) return `$JS.API.STREAM.${request}.KV_m_questions`
  return request.endsWith(">") ? "$JS.API.DIRECT.GET.KV_m_questions.>" : "$JS.API.DIRECT.GET.KV_m_questions"
}

test.each([
  ">",
  "*.ev.a.k.x",
  "$JS.>",
  "$JS.API.>",
  "$JS.API.CONSUMER.CREATE.m_EVENTS.a",
  "$JS.API.CONSUMER.DURABLE.CREATE.m_EVENTS.a",
  "$JS.API.CONSUMER.MSG.NEXT.m_EVENTS.*",
  "$JS.API.CONSUMER.MSG.NEXT.*.watcher",
  "$JS.API.CONSUMER.DELETE.m_EVENTS.a",
  "$JS.API.STREAM.DELETE.m_EVENTS",
  "$JS.API.STREAM.PURGE.m_EVENTS",
  "$JS.API.STREAM.MSG.GET.m_SESSIONS_other",
  "$JS.API.STREAM.MSG.GET.other_EVENTS",
  "$JS.ACK.>",
  "$JS.ACK.m_EVENTS.*.>",
  "$JS.EVENT.>",
  "$SYS.>",
  "$SYS.REQ.SERVER.PING",
  "$KV.>",
  "$KV.m_routes.>",
  "$KV.m_settings.pause.a",
  "$O.other_ARTIFACTS.C.>",
  "m.>",
  "m.ev.>",
  "m.ev.*.*.market.alarm",
  "m.ev.other.*.market.alarm",
  "m.ev.murmur.*.market.alarm",
  "m.ev.http.>",
  "m.ses.>",
  "m.ses.other.>",
  "m.wake.watcher.>",
  "m.usage.>",
  "m.ev.watcher.*.a-*",
  "other.ev.watcher.*.x",
])("no node is given the right to publish to %s", (subject) => {
  const declaration = declarationOf({ agents: [watcher], sources: [] })
  const check = (): void => checkRights("m", declaration, { publish: [subject], subscribe: [] })
  expect(check).toThrow(expect.objectContaining({ code: "RIGHTS_REFUSED" }))
})

test.each([">", "_INBOX.>", "_INBOX_*.>", "m.ev.>", `_INBOX_${key("A")}.*.>`])("nor to listen to %s", (subject) => {
  const check = (): void => checkRights("m", none, { publish: [], subscribe: [subject] })
  expect(check).toThrow(expect.objectContaining({ code: "RIGHTS_REFUSED" }))
})
