import { z } from "zod"
import { TerminalError } from "../../errors.js"
import type { CompletionRequest, ObjectRequest } from "../completion.js"
import type { Message } from "../messages/message.js"
import { type ScriptedReplies, ScriptedReply, type ScriptedRequest, type ScriptedRule } from "./script.js"

/** Chooses a reply, and remembers how far the sequences are. */
export type ChooseReply = (request: ScriptedRequest) => Promise<ScriptedReply>

/** @throws TerminalError `LLM_SCRIPT` when nothing matches, or a function gives what is no reply */
export function chooseBy(provider: string, replies: ScriptedReplies): ChooseReply {
  if (typeof replies === "function") return async (request) => checked(provider, await replies(request))
  const given = new Map<ScriptedRule, number>()
  return async (request) => {
    const rule = replies.find((each) => matches(each, request))
    if (rule === undefined) throw scriptError(provider, unmatched(request))
    const count = given.get(rule) ?? 0
    given.set(rule, count + 1)
    const reply = rule.reply ?? at(rule.turns, request.turn) ?? at(rule.sequence, count) ?? ""
    return checked(provider, typeof reply === "function" ? await reply(request) : reply)
  }
}

/** What a script may look at, made of a request. */
export function toScriptedRequest(request: CompletionRequest | ObjectRequest, calls: number): ScriptedRequest {
  const { messages } = request
  const last = messages.at(-1)
  const user = messages.findLastIndex(({ role }) => role === "user")
  const spoken = messages.slice(user + 1).filter(({ role }) => role === "assistant")
  const lastUser = user < 0 ? "" : textOf(messages[user])
  return {
    ...request,
    calls,
    lastUser,
    get data() {
      return dataIn(lastUser)
    },
    lastTool: last?.role === "tool" ? { name: last.name, content: last.content } : undefined,
    turn: spoken.length,
  }
}

/** Data as models are shown it: JSON between two lines with the same mark, below a line that says where it comes from. */
const DATA = /^--- begin data (\S+) ---\n.*\n(.*)\n--- end data \1 ---$/m

function dataIn(text: string): unknown {
  const [, , json] = DATA.exec(text) ?? []
  try {
    return json === undefined ? undefined : JSON.parse(json)
  } catch {
    return undefined // what only looks like it
  }
}

function textOf(message: Message | undefined): string {
  const content = message?.content ?? ""
  if (typeof content === "string") return content
  return content.map((part) => (part.type === "text" ? part.text : "")).join("")
}

function matches({ when, system, schema, model }: ScriptedRule, request: ScriptedRequest): boolean {
  if (model !== undefined && model !== request.model) return false
  if (schema !== undefined && schema !== request.schemaName) return false
  if (when !== undefined && !found(when, request.lastUser)) return false
  return system === undefined || request.messages.some((each) => each.role === "system" && found(system, each.content))
}

/** An expression with the flag `g` or `y` would remember where it was. */
function found(pattern: string | RegExp, text: string): boolean {
  if (typeof pattern === "string") return text.toLowerCase().includes(pattern.toLowerCase())
  return text.search(pattern) >= 0
}

function at<T>(list: readonly T[] | undefined, index: number): T | undefined {
  return list?.[Math.min(index, list.length - 1)]
}

function checked(provider: string, reply: unknown): ScriptedReply {
  const read = ScriptedReply.safeParse(reply)
  if (read.success) return read.data
  throw scriptError(provider, `a function gave what is no reply: ${z.prettifyError(read.error)}`)
}

function unmatched({ lastUser, turn }: ScriptedRequest): string {
  const said = lastUser.length > 120 ? `${lastUser.slice(0, 120)}...` : lastUser
  return `no rule matches ${JSON.stringify(said)} (turn ${turn}); add one, or one without conditions at the end`
}

function scriptError(provider: string, why: string): TerminalError {
  return new TerminalError(`Cannot answer by the script of "${provider}": ${why}`, {
    code: "LLM_SCRIPT",
    details: { provider },
  })
}
