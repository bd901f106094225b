import { expect, test } from "vitest"
import { publicLookup } from "./public-lookup.js"

test("a name that leads to one's own machine cannot be connected to", async () => {
  const looked = new Promise((resolve) => publicLookup("localhost", {}, (error) => resolve(error)))
  expect(await looked).toMatchObject({ code: "LLM_IMAGE" })
})
