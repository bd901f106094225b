import { describe, expect, test } from "vitest"
import { TerminalError } from "../../src/errors.js"
import { Embeddings } from "../../src/gateways/completion.js"
import { thrown, waiting } from "./suite-ask.js"
import { MODEL, type Suite } from "./suite-seam.js"

export function describeOffers({ open, can }: Suite): void {
  describe("embeddings and models", () => {
    test("says which provider it is, and stands for an account without telling its key", async () => {
      const { gateway } = await open()
      expect(gateway.provider).toMatch(/^[a-z][a-z0-9-]*$/)
      expect(gateway.account).toMatch(/^[A-Za-z0-9_-]{4,32}$/)
    })

    test.runIf(can("embed"))("makes vectors of texts, in their order", async () => {
      const { gateway, server } = await open()
      const vectors = [
        [0.25, -0.5, 1],
        [0, 0.125, -1],
      ]
      server.reply({ vectors, usage: { inputTokens: 6, outputTokens: 0 } })
      const answer = await gateway.embed({ model: MODEL, texts: ["one", "two"], options: {} }, waiting())
      expect(answer.vectors).toHaveLength(2)
      expect(Embeddings.parse(answer)).toEqual(answer)
      if (!can("network")) return
      expect(answer.vectors).toEqual(vectors)
      expect(answer.usage.outputTokens).toBe(0)
      expect(answer.usage.inputTokens).toBeGreaterThan(0)
      expect(server.last).toMatchObject({ kind: "embed", model: MODEL, texts: ["one", "two"] })
    })

    test.runIf(can("embed") && can("dimensions"))("says how long the vectors are to be", async () => {
      const { gateway, server } = await open()
      server.reply({ vectors: [[1, 2, 3, 4]] })
      const answer = await gateway.embed({ model: MODEL, texts: ["one"], dimensions: 4, options: {} }, waiting())
      expect(answer.vectors[0]).toHaveLength(4)
      if (can("network")) expect(server.last.dimensions).toBe(4)
    })

    test.runIf(can("embed") && can("network"))("does not take fewer vectors than texts for an answer", async () => {
      const { gateway, server } = await open()
      server.reply({ vectors: [[1, 2]] })
      const error = await thrown(gateway.embed({ model: MODEL, texts: ["one", "two"], options: {} }, waiting()))
      expect(error).toMatchObject({ code: "LLM_REPLY" })
    })

    test.runIf(!can("embed"))("says that it has no embeddings", async () => {
      const { gateway } = await open()
      const error = await thrown(gateway.embed({ model: MODEL, texts: ["one"], options: {} }, waiting()))
      expect(error).toMatchObject({ code: "LLM_UNSUPPORTED" })
      expect(error).toBeInstanceOf(TerminalError)
    })

    test("lists the models that are there", async () => {
      const { gateway, server } = await open()
      server.reply({ models: ["fake-small", "fake-large"] })
      const models = await gateway.models(waiting())
      if (can("network")) expect(models.map(({ name }) => name)).toEqual(["fake-small", "fake-large"])
      else expect(models.length).toBeGreaterThan(0)
    })

    test("fetches models only where the provider is a machine of one's own", async () => {
      const { gateway } = await open()
      expect(gateway.pull !== undefined).toBe(can("pull"))
    })
  })
}
