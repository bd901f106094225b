import type { SourceDefinition, WebhookRequest } from "../source.js"
import { fingerprint } from "./delivery.js"
import { type CodeHost, type CodeHostOptions, codeHostSource } from "./endpoint.js"
import { mapGithub } from "./github-map.js"
import { verifySignature } from "./secrets.js"

const DELIVERY = /^[A-Za-z0-9-]{1,64}$/

const host: CodeHost = {
  title: "GitHub",
  name: "github",
  variable: "GITHUB_WEBHOOK_SECRET",
  bodyBytesMax: 25 * 1024 * 1024,
  verify: (secrets, { headers, body }) => verifySignature(secrets, body, headers.get("x-hub-signature-256")),
  eventType: (headers) => headers.get("x-github-event"),
  isPing: (eventType) => eventType === "ping",
  map: mapGithub,
  identify,
}

/**
 * GitHub's webhooks as `ci.*` and `repo.*` events, at `POST /hooks/github`. Set the webhook's content type to JSON (a form
 * works too) and its secret to one of `GITHUB_WEBHOOK_SECRET`; without a secret the endpoint answers 503. GitHub does not
 * send again by itself what was answered with an error: redeliver it on the webhook's page.
 *
 * @throws MurmurError `SOURCE_OPTION`, `NAME_INVALID`
 * @example
 * export default github()
 */
export function github(options: CodeHostOptions = {}): SourceDefinition {
  return codeHostSource(host, options)
}

/**
 * The event's id is the delivery's, which is the same when somebody redelivers it. Only the body is signed, so whoever
 * captured a delivery could send it again for ever with another delivery id or event type: what counts as the same
 * is the body alone.
 */
function identify({ headers, body }: WebhookRequest): { id: string; fingerprint: string } {
  const print = fingerprint(body)
  const delivery = headers.get("x-github-delivery") ?? ""
  return { id: `gh:${DELIVERY.test(delivery) ? delivery : print}`, fingerprint: print }
}
