import { expect } from "vitest"
import type { Bus } from "../../../src/bus/bus.js"
import { readAll } from "../../support/checker.js"

/** The forms in which a secret is looked for: as it is, in a URL, in base64 wherever in the text it begins. */
function formsOf(secret: string): string[] {
  const base64 = [0, 1, 2].map((before) => {
    const whole = Buffer.from(`${"x".repeat(before)}${secret}`).toString("base64url")
    return whole.slice(before === 0 ? 0 : before + 1, -4)
  })
  return [
    secret,
    encodeURIComponent(secret),
    ...base64,
    ...base64.map((text) => text.replaceAll("-", "+").replaceAll("_", "/")),
  ]
}

/** Which of some texts hold a secret, by what they are called. */
export function holders(secret: string, texts: Iterable<readonly [name: string, text: string]>): string[] {
  const forms = formsOf(secret)
  return [...texts].filter(([, text]) => forms.some((form) => text.includes(form))).map(([name]) => name)
}

/** No message of any stream of the server holds a secret: neither subject nor header nor payload. */
export async function expectNoSecretStored(bus: Bus, secret: string): Promise<void> {
  let messages = 0
  for await (const stream of bus.link.manager.streams.names()) {
    const texts = (await readAll(bus, stream, ">")).map((message) => {
      messages += 1
      const headers = [...message.headerNames()].map((name) => `${name}: ${message.header(name)}`)
      return [message.subject, [message.subject, ...headers, Buffer.from(message.data).toString()].join("\n")] as const
    })
    expect(holders(secret, texts), `messages of ${stream} with the secret`).toEqual([])
  }
  expect(messages, "messages that were looked at").toBeGreaterThan(0)
}
