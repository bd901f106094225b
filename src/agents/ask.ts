import { MurmurError } from "../errors.js"

/** How a question to a person is put. */
export interface AskOptions {
  /** What may be answered; anything when left out. */
  readonly choices?: readonly string[]
  /** The answer when nobody gives one in time: choose what does no harm. One of the choices. */
  readonly default: string
  /** How long to wait for an answer, in milliseconds. Default 86_400_000, a day. */
  readonly timeoutMs?: number
}

const DAY_MS = 86_400_000
/** As far as a date goes. */
const WAIT_MS_MAX = 100 * 365 * DAY_MS
const KNOWN = ["choices", "default", "timeoutMs"]

/** Checks a question. @returns how long it waits @throws MurmurError `ASK_OPTION` */
export function checkAsk(agent: string, question: string, options: AskOptions): number {
  const fail = (why: string): never => {
    throw new MurmurError(`"${agent}" cannot ask ${JSON.stringify(question)}: ${why}`, { code: "ASK_OPTION" })
  }
  if (typeof question !== "string" || question.trim() === "") fail("a question must be a text")
  if (typeof options !== "object" || options === null) fail(`its options must be an object, are ${String(options)}`)
  const unknown = Object.keys(options).find((name) => !KNOWN.includes(name))
  if (unknown !== undefined) fail(`unknown option "${unknown}" (known: ${KNOWN.join(", ")})`)
  if (typeof options.default !== "string") {
    fail(`it needs a default, the answer when nobody gives one in time; is ${String(options.default)}`)
  }
  const { choices, timeoutMs = DAY_MS } = options
  if (choices !== undefined) {
    const texts = Array.isArray(choices) && choices.length > 0 && choices.every((choice) => typeof choice === "string")
    if (!texts) fail(`choices must be a list of texts, is ${JSON.stringify(choices)}`)
    if (!choices.includes(options.default)) {
      fail(`the default "${options.default}" is none of its choices (${choices.join(", ")})`)
    }
  }
  return checkWait(timeoutMs, (found) => fail(`timeoutMs must be a number of milliseconds > 0, is ${found}`))
}

/** How long a step sleeps. @throws MurmurError `SLEEP` */
export function checkSleep(agent: string, ms: number): number {
  return checkWait(ms, (found) => {
    throw new MurmurError(`"${agent}" cannot sleep: ctx.sleep takes a number of milliseconds > 0, is ${found}`, {
      code: "SLEEP",
    })
  })
}

function checkWait(ms: number, fail: (found: string) => never): number {
  return typeof ms === "number" && ms > 0 && ms <= WAIT_MS_MAX ? ms : fail(String(ms))
}
