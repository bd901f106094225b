import { expect } from "vitest"
import { DEDUP_WINDOW_MS, type Rig } from "./rig.js"

/** What the runtime relies on of the stream of events. */
export const EVENTS: Readonly<Record<string, (rig: Rig) => Promise<void>>> = {
  "an id is stored once inside the window, whatever is in it, also over a kill of the server": async (rig) => {
    const client = await rig.client("a")
    const first = await client.publish(1, { id: "same" })
    expect(await client.publish(2, { id: "same" })).toMatchObject({ seq: first.seq, duplicate: true })
    expect(await client.publish(3, { id: "other" })).toMatchObject({ seq: first.seq + 1, duplicate: false })
    await rig.killServer()
    expect(await client.publish(4, { id: "other" })).toMatchObject({ seq: first.seq + 1, duplicate: true })
  },
  "outside of the window it is stored again, and a repeat inside does not make the window longer": async (rig) => {
    const client = await rig.client("a")
    await client.publish(1, { id: "same" })
    await rig.delay(DEDUP_WINDOW_MS * 0.6)
    expect(await client.publish(2, { id: "same" })).toMatchObject({ duplicate: true })
    await rig.delay(DEDUP_WINDOW_MS * 0.8)
    expect(await client.publish(3, { id: "same" })).toMatchObject({ seq: 2, duplicate: false })
  },
  "the partitions of a key stand in the subject under which its event is stored": async (rig) => {
    const client = await rig.client("a")
    const keys = ["a", "b", "AAPL", "acme/web", "k 1", "ü", ""]
    for (const key of keys) await client.publish(1, { key })
    const tokens = (await rig.storedSubjects()).map((subject) => subject.split(".").slice(2, 6).join(" "))
    expect(tokens).toEqual([
      "4 44 cli a",
      "5 37 cli b",
      "3 11 cli AAPL",
      "6 54 cli acme/web",
      "2 50 cli k%201",
      "6 46 cli %C3%BC",
      "0 32 cli %",
    ])
  },
}
