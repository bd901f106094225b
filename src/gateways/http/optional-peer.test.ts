import { expect, test, vi } from "vitest"
import { optionalPeer } from "./optional-peer.js"

const missing = (name: string): Error =>
  Object.assign(new Error(`Cannot find package '${name}' imported from /app/x.js`), { code: "ERR_MODULE_NOT_FOUND" })

test("loads once, however many ask", async () => {
  const load = vi.fn(async () => ({ made: "by a vendor" }))
  const sdk = optionalPeer("x", "x-sdk", load)
  expect(load).not.toHaveBeenCalled()
  expect((await Promise.all([sdk(), sdk()])).map(({ made }) => made)).toEqual(["by a vendor", "by a vendor"])
  expect(load).toHaveBeenCalledTimes(1)
})

test("names the command that installs what is missing, and looks again when it is asked again", async () => {
  const load = vi.fn().mockRejectedValueOnce(missing("x-sdk")).mockResolvedValueOnce("here")
  const sdk = optionalPeer("x", "x-sdk", load)
  await expect(sdk()).rejects.toThrowError(/gateway "x": .* run: npm install x-sdk/)
  expect(await sdk()).toBe("here")
})

test("does not blame the package for what it lacks itself", async () => {
  const sdk = optionalPeer("x", "x-sdk", () => Promise.reject(missing("left-pad")))
  const error = await sdk().catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code: "LLM_GATEWAY", details: { package: "x-sdk" } })
  expect((error as Error).message).toContain("left-pad")
  expect((error as Error).message).not.toContain("npm install")
})
