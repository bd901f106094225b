import type { MurmurEvent } from "../../bus/event.js"
import { oneLine } from "./columns.js"

/** What is known about the node that is being looked at. */
export interface HintFacts {
  /** Where it answers HTTP, if it does. */
  readonly http: string | undefined
  /** Flags that other commands need to find this mesh; mostly none. */
  readonly flags: string
  /** An event that agents reacted to; absent as long as there is none. */
  readonly root: MurmurEvent | undefined
  /** An event with little data, to be published again. */
  readonly sample: MurmurEvent | undefined
  /** Whether it takes GitHub's webhooks, which need a secret in the environment. */
  readonly takesGithub: boolean
}

/** What to try next, as commands that work as they stand. */
export function hintLines({ http, flags, root, sample, takesGithub }: HintFacts): string[] {
  const command = (words: string): string => `npx murmur ${words}${flags}`
  const rows: [string, string][] = [
    [command("tail"), "events as they come"],
    [command("agents"), "what runs, its lag and failures"],
  ]
  if (root !== undefined) rows.unshift([command(`trace ${quote(root.id)}`), `what this ${root.type} led to`])
  const publish = sample === undefined ? "publish <type> --key <key> --data '{...}'" : publishLine(sample)
  rows.push([command(publish), "put an event on the bus"])
  if (http !== undefined) rows.push([`curl ${http}/metrics`, "the same in numbers"])
  const width = Math.max(...rows.map(([words]) => words.length).filter((length) => length <= COMMAND_ALIGNED))
  const lines = rows.map(([words, says]) =>
    words.length > width ? `  ${words}` : `  ${words.padEnd(width)}   # ${says}`,
  )
  const signed = takesGithub && http !== undefined ? ["", ...signedDelivery(http)] : []
  return ["In another terminal:", ...lines, ...signed]
}

const ASKED = "murmur.question.asked"
/** So much of a question's id names it, as a person types it. */
const ID_SHOWN = 8

/** The command that answers a question, for an event that is one. */
export function answerHint({ type, data }: MurmurEvent, flags: string): string | undefined {
  const { id, choices } = (data ?? {}) as { readonly id?: unknown; readonly choices?: unknown }
  if (type !== ASKED || typeof id !== "string") return undefined
  const answers = Array.isArray(choices) ? choices.map(String).join("|") : "..."
  return `npx murmur ask answer ${quote(id.slice(0, ID_SHOWN))} <${oneLine(answers)}>${flags}`
}

/** A longer command stands without a comment. */
const COMMAND_ALIGNED = 60
const SAMPLE_LENGTH_MAX = 100

/** Whether an event is small enough to be typed. */
export function isSample(event: MurmurEvent): boolean {
  return (JSON.stringify(event.data)?.length ?? 0) <= SAMPLE_LENGTH_MAX
}

function publishLine({ type, key, data }: MurmurEvent): string {
  const keyed = key === undefined ? "" : ` --key ${quote(key)}`
  return `publish ${type}${keyed} --data ${quote(JSON.stringify(data))}`
}

/** What a shell takes as one word, whatever somebody has put into an event. */
function quote(text: string): string {
  const plain = oneLine(text)
  return /^[\w./:@%+,-]+$/.test(plain) ? plain : `'${plain.replaceAll("'", `'\\''`)}'`
}

/** The secret itself is never printed: the shell reads it where murmur did. */
function signedDelivery(http: string): string[] {
  const run = `"workflow_run":{"id":1,"name":"tests","conclusion":"failure","head_branch":"main","head_sha":"c0ffee"}`
  return [
    `  body='{"action":"completed","repository":{"full_name":"acme/web"},${run}}'`,
    `  sum=$(printf %s "$body" | openssl dgst -sha256 -hmac "\${GITHUB_WEBHOOK_SECRET%%,*}" | sed 's/.* //')`,
    `  curl ${http}/hooks/github -H 'content-type: application/json' -H 'x-github-event: workflow_run' \\`,
    `       -H "x-hub-signature-256: sha256=$sum" -d "$body"`,
  ]
}
