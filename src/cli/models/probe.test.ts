import { afterEach, expect, test, vi } from "vitest"
import type { Gateway } from "../../gateways/gateway.js"
import { scripted } from "../../gateways/scripted/scripted.js"
import { PROBE_MS, probe } from "./probe.js"

afterEach(() => vi.useRealTimers())

const gateway = (models: Gateway["models"]): Gateway => ({ ...scripted({ provider: "own", replies: [] }), models })

test("A gateway that never answers, and does not look at its signal, is waited for so long and no longer", async () => {
  vi.useFakeTimers()
  const probed = probe(gateway(() => new Promise(() => {})))
  await vi.advanceTimersByTimeAsync(PROBE_MS)
  expect(await probed).toMatchObject({ answers: false, code: "LLM_TIMEOUT", why: "no answer within 5.0 s" })
})

test("What a gateway of somebody's own throws is a reason, on one line and without secrets of the environment", async () => {
  vi.stubEnv("OWN_API_KEY", "canary-0123456789")
  const thrown = async (): Promise<never> => {
    throw new Error("refused canary-0123456789\n  at its door")
  }
  const found = await probe(gateway(thrown))
  expect(found).toMatchObject({ answers: false, code: "ERROR", why: "refused [redacted] at its door" })
})

test("A gateway that does not even make a promise is a reason too", async () => {
  const thrown = (): never => {
    throw new Error("not ready")
  }
  expect(await probe(gateway(thrown))).toMatchObject({ answers: false, why: "not ready" })
})
