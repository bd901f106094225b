import { randomBytes } from "node:crypto"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { Artifacts, artifactId } from "../src/bus/artifacts.js"
import { type Bus, openBus } from "../src/bus/bus.js"
import { startTestServer, type TestServer } from "./support/nats-server.js"

let server: TestServer
let bus: Bus
let artifacts: Artifacts

beforeAll(async () => {
  server = await startTestServer({ sync: "default" })
  bus = await openBus({ url: server.url, name: "tester", mesh: "test" })
  artifacts = await Artifacts.open(bus)
})
afterAll(async () => {
  await bus?.close()
  await server?.stop()
})

const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString()
const stored = async (): Promise<number> => (await bus.link.manager.streams.info("OBJ_test_ARTIFACTS")).state.messages

describe("an artifact", () => {
  test("is got as it was put, under the hash of its bytes", async () => {
    const put = await artifacts.put(Buffer.from("a log"), { name: "build.log", mediaType: "text/plain" })
    expect(put).toMatchObject({
      id: artifactId(Buffer.from("a log")),
      size: 5,
      name: "build.log",
      mediaType: "text/plain",
    })
    const got = await artifacts.get(put.id)
    expect([text(got?.bytes), got?.name, got?.mediaType]).toEqual(["a log", "build.log", "text/plain"])
  })

  test("of many chunks comes back whole", async () => {
    const bytes = randomBytes(1_000_003)
    const { id } = await artifacts.put(bytes)
    expect(artifactId((await artifacts.get(id))?.bytes ?? Buffer.alloc(0))).toBe(id)
  })

  test("of no bytes is one as well", async () => {
    const { id } = await artifacts.put(new Uint8Array())
    expect((await artifacts.get(id))?.bytes).toHaveLength(0)
  })

  test("that is put twice is there once, and keeps its first name", async () => {
    const first = await artifacts.put(Buffer.from("twice"), { name: "first" })
    const before = await stored()
    const second = await artifacts.put(Buffer.from("twice"), { name: "second" })
    expect([second, await stored()]).toEqual([first, before])
  })

  test("that many put side by side is there, whole", async () => {
    const others = await Artifacts.open(bus)
    const bytes = randomBytes(300_000)
    await Promise.all([artifacts, others, artifacts, others].map((each) => each.put(bytes)))
    expect(artifactId((await artifacts.get(artifactId(bytes)))?.bytes ?? Buffer.alloc(0))).toBe(artifactId(bytes))
  })

  test("that is not there is none", async () => {
    expect(await artifacts.get("0".repeat(64))).toBeUndefined()
    await expect(artifacts.get("../evil")).rejects.toMatchObject({ code: "ARTIFACT_ID" })
  })

  test("is listed until it is deleted", async () => {
    const { id } = await artifacts.put(Buffer.from("listed"))
    const ids = async (): Promise<string[]> => (await artifacts.list()).map((each) => each.id)
    expect(await ids()).toContain(id)
    await artifacts.delete(id)
    await artifacts.delete(id)
    expect(await ids()).not.toContain(id)
    expect(await artifacts.get(id)).toBeUndefined()
    await artifacts.put(Buffer.from("listed"))
    expect(await ids()).toContain(id)
  })
})

describe("limits", () => {
  test("of one artifact are held", async () => {
    const small = await Artifacts.open(bus, { sizeMax: 10 })
    await expect(small.put(Buffer.alloc(11))).rejects.toMatchObject({ code: "ARTIFACT_TOO_LARGE" })
    await small.put(Buffer.alloc(10))
  })

  test.each<[object, string]>([
    [{ sizeMx: 1 }, 'unknown option "sizeMx"'],
    [{ sizeMax: 0 }, "sizeMax must be an integer from 1, is 0"],
    [{ replicas: 2 }, "replicas must be 1, 3 or 5, is 2"],
  ])("that make no sense are refused: %j", async (options, said) => {
    await expect(Artifacts.open(bus, options)).rejects.toThrow(said)
  })

  test.each<[object, string]>([
    [{ name: "" }, "its name must have 1 to 200 characters"],
    [{ mediaType: "text\r\nx: y" }, "its mediaType must be like text/plain"],
    [{ nam: "x" }, 'unknown option "nam"'],
  ])("of what is said about one are held: %j", async (options, said) => {
    await expect(artifacts.put(Buffer.from("x"), options)).rejects.toThrow(said)
  })

  test("of all together are held, and say so", async () => {
    const other = await openBus({ url: server.url, name: "tester", mesh: "full" })
    try {
      const full = await Artifacts.open(other, { bytesMax: 400_000 })
      await full.put(randomBytes(200_000))
      await expect(full.put(randomBytes(300_000))).rejects.toMatchObject({ code: "ARTIFACTS_FULL" })
    } finally {
      await other.close()
    }
  })

  test("of time are held, and begin again when it is put again after half of it", async () => {
    const other = await openBus({ url: server.url, name: "tester", mesh: "short" })
    try {
      const short = await Artifacts.open(other, { ageMsMax: 2_000 })
      const kept = await short.put(Buffer.from("kept"))
      const { id } = await short.put(Buffer.from("gone"))
      await expect.poll(() => Date.now() - kept.at.getTime(), { timeout: 5_000 }).toBeGreaterThan(1_100)
      await short.put(Buffer.from("kept"))
      await expect.poll(() => short.get(id), { timeout: 5_000 }).toBeUndefined()
      expect(text((await short.get(kept.id))?.bytes)).toBe("kept")
    } finally {
      await other.close()
    }
  })
})
