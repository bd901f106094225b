import { describe, expect, test } from "vitest"
import { z } from "zod"
import { seal } from "../../bus/encode.js"
import type { MurmurEvent } from "../../bus/event.js"
import { forgedTask, TaskDuty } from "./duty.js"
import { type Handoff, handoffId, type ReplyTo } from "./task.js"

const replyTo: ReplyTo = { task: "t1", agent: "boss", key: "k", step: "e1", position: 2, to: "helper" }

const task = (
  producer: string,
  to = "helper",
  data: object = { input: { n: 1 }, replyTo, deadline: "2026-01-01T00:00:00.000Z" },
): MurmurEvent => ({
  ...seal({ type: `murmur.task.${to}`, key: "t1", id: "t1", data }, { mesh: "m", producer }),
  seq: 1,
})

const handed = (handoffs: Handoff[]): object => ({ input: 1, replyTo, handoffs })
const codeOf = (work: () => unknown): unknown => {
  try {
    return work()
  } catch (error) {
    return (error as { code: string }).code
  }
}

describe("a task", () => {
  test.each<[string, string, object, string, boolean]>([
    ["by who waits for it", "boss", { input: 1, replyTo }, "helper", true],
    ["by another", "other", { input: 1, replyTo }, "helper", false],
    ["for another", "boss", { input: 1, replyTo }, "other", false],
    ["handed on by who had it", "helper", handed([{ agent: "second" }]), "second", true],
    ["handed on twice", "second", handed([{ agent: "second" }, { agent: "third" }]), "third", true],
    ["handed on by who had it no more", "helper", handed([{ agent: "second" }, { agent: "third" }]), "third", false],
    ["handed on by who waits for it", "boss", handed([{ agent: "second" }]), "second", false],
    ["that nobody waits for, by anybody", "other", { input: 1 }, "helper", true],
  ])("given %s", (_, producer, data, to, isGenuine) => {
    expect(forgedTask(to, task(producer, to, data)) === undefined).toBe(isGenuine)
  })
})

describe("the duty of a step", () => {
  test("ends with a reply, which goes to who waits, under the same id each time", () => {
    const drafts = [1, 2].map(() => new TaskDuty("helper", z.number(), task("boss")).reply(7))
    expect(drafts[0]).toEqual({
      type: "murmur.inbox.boss",
      key: "k",
      id: drafts[1]?.id,
      data: { kind: "result", step: "e1", position: 2, task: "t1", result: { ok: true, output: 7 }, handoffs: [] },
    })
  })

  test.each<[string, z.ZodType | undefined, unknown]>([
    ["null where anything may be said", undefined, { ok: true, output: null }],
    ["null where it fits", z.number().nullable(), { ok: true, output: null }],
    ["an error where it does not", z.number(), { ok: false, error: expect.objectContaining({ code: "REPLY_NONE" }) }],
  ])("without a reply is %s", (_, output, result) => {
    expect(new TaskDuty("helper", output, task("boss")).settle()?.data).toMatchObject({ result })
  })

  test("is settled by a reply, and by handing it on", () => {
    const replied = new TaskDuty("helper", undefined, task("boss"))
    replied.reply(1)
    const handedOn = new TaskDuty("helper", undefined, task("boss"))
    handedOn.handoff("second", { input: 2 }, undefined)
    expect([replied.settle(), handedOn.settle()]).toEqual([undefined, undefined])
  })

  test("can be handed on: the other replies to who waits, and who handed it on can be told", () => {
    const id = handoffId("t1", 0, "helper", "second")
    expect(new TaskDuty("helper", undefined, task("boss")).handoff("second", { input: 2 }, undefined)).toEqual({
      type: "murmur.task.second",
      key: id,
      id,
      data: {
        input: 2,
        replyTo,
        handoffs: [{ agent: "second", key: id }],
        deadline: "2026-01-01T00:00:00.000Z",
      },
    })
  })

  test("is nobody's for a task that nobody waits for: a reply goes nowhere", () => {
    const duty = new TaskDuty("helper", z.number(), task("cli", "helper", { input: 1 }))
    expect([duty.reply(1), duty.settle()]).toEqual([undefined, undefined])
  })

  test.each<[string, string, (duty: TaskDuty) => unknown]>([
    ["a reply that does not fit", "REPLY_OUTPUT", (duty) => duty.reply("seven")],
    ["a second reply", "REPLY_TWICE", (duty) => [duty.reply(1), duty.reply(2)]],
    ["a reply to what was handed on", "REPLY_TWICE", (duty) => [duty.handoff("b", { input: 1 }, "k"), duty.reply(2)]],
    ["handing on what was replied to", "REPLY_TWICE", (duty) => [duty.reply(2), duty.handoff("b", { input: 1 }, "k")]],
  ])("refuses %s", (_, code, work) => {
    expect(codeOf(() => work(new TaskDuty("helper", z.number(), task("boss"))))).toBe(code)
  })

  test("refuses to be handed on without end", () => {
    const handoffs = Array.from({ length: 16 }, (_, n) => ({ agent: n % 2 === 0 ? "second" : "helper" }))
    const duty = new TaskDuty("helper", undefined, task("second", "helper", { input: 1, replyTo, handoffs }))
    expect(codeOf(() => duty.handoff("second", { input: 1 }, undefined))).toBe("HANDOFF_LIMIT")
  })

  test("is none for an event that is no task", () => {
    const event = { ...task("cli"), type: "shop.order" }
    expect(codeOf(() => new TaskDuty("helper", undefined, event).reply(1))).toBe("REPLY_NO_TASK")
    expect(new TaskDuty("helper", undefined, event).handoff("second", { input: 1 }, "k").data).toEqual({ input: 1 })
  })
})
