import type { SourceDefinition, WebhookRequest } from "../source.js"
import { fingerprint } from "./delivery.js"
import { type CodeHost, type CodeHostOptions, codeHostSource } from "./endpoint.js"
import { mapGitlab } from "./gitlab-map.js"
import { verifyToken } from "./secrets.js"

const ID = /^[\w.-]{1,100}$/

const host: CodeHost = {
  title: "GitLab",
  name: "gitlab",
  variable: "GITLAB_WEBHOOK_SECRET",
  bodyBytesMax: 5 * 1024 * 1024,
  verify: (secrets, { headers }) => verifyToken(secrets, headers.get("x-gitlab-token")),
  eventType: (headers) => headers.get("x-gitlab-event"),
  isPing: () => false,
  map: (_eventType, payload) => mapGitlab(payload),
  identify,
}

/**
 * GitLab's webhooks as `ci.*` and `repo.*` events, at `POST /hooks/gitlab`. Switch on push, tag push, merge request, job
 * and pipeline events, and set the secret token to one of `GITLAB_WEBHOOK_SECRET`; without it the endpoint answers 503.
 * GitLab sends the token itself and signs nothing: use HTTPS.
 *
 * @throws MurmurError `SOURCE_OPTION`, `NAME_INVALID`
 * @example
 * export default gitlab({ name: "gitlab" })
 */
export function gitlab(options: CodeHostOptions = {}): SourceDefinition {
  return codeHostSource(host, options)
}

/**
 * `Idempotency-Key` is the same for each retry of a delivery (GitLab 17.4 and newer). Before that only the body tells:
 * `X-Gitlab-Event-UUID` is shared by hooks that trigger one another, so it counts together with the body.
 */
function identify({ headers, body }: WebhookRequest): { id: string; fingerprint: string } {
  const idempotencyKey = headers.get("idempotency-key") ?? ""
  if (ID.test(idempotencyKey)) return { id: `gl:${idempotencyKey}`, fingerprint: fingerprint(idempotencyKey) }
  const print = fingerprint(body)
  const uuid = headers.get("x-gitlab-event-uuid") ?? ""
  return { id: ID.test(uuid) ? `gl:${uuid}-${print.slice(0, 12)}` : `gl:${print}`, fingerprint: print }
}
