import { MurmurError } from "../errors.js"
import type { BrokerCompletion } from "../gateways/broker/broker.js"
import { createBroker } from "../gateways/broker/create-broker.js"
import { resolveModels } from "../gateways/broker/model-names.js"
import type { StreamPart } from "../gateways/completion.js"
import { brokerOptionsOf } from "../gateways/from-models.js"
import { user } from "../gateways/messages/constructors.js"
import { createRedactor } from "../telemetry/redact.js"
import type { Cli } from "./cli.js"
import { noProvider } from "./models/mending.js"
import { readSetup, type Setup } from "./models/setup.js"
import { timeLimit } from "./models/time-limit.js"
import { warn } from "./output.js"
import { counted, dollars, duration, printableLines } from "./text.js"

/** Somebody waits at a terminal: an answer that is not there by then does not come. */
const DEADLINE_MS = 180_000
/** A key that does not work is to be seen soon, and not after minutes of patience. */
const IMPATIENT = { tries: 2, backoffMs: 250, busyMsMax: 5_000 }

/** `murmur models ask <model> <prompt> [paths...]`: one question through the broker; the answer as it comes, then its cost. */
export async function modelsAsk(cli: Cli, [name, prompt, paths]: [string, string, string[]]): Promise<void> {
  const setup = await readSetup(paths)
  const broker = createBroker({ ...brokerOptionsOf(setup.models), gateways: usable(setup, name), retry: IMPATIENT })
  const shown = new Answer(cli)
  const time = timeLimit(`model "${name}"`, DEADLINE_MS)
  try {
    const answer = await broker.complete(
      { models: [name], messages: [user(prompt)], options: {} },
      {
        signal: time.signal,
        deadlineMs: Date.now() + DEADLINE_MS,
        ...(!cli.options.json && { onPart: (part: StreamPart) => shown.add(part) }),
      },
    )
    if (cli.options.json) await cli.out.json(jsonOf(answer))
    else await shown.end(answer)
  } catch (error) {
    shown.breakOff()
    throw withoutSecrets(error)
  } finally {
    time.end()
    await broker.close()
  }
}

/** @throws TerminalError when no model of that name can be asked: `LLM_OPTION`, `LLM_GATEWAY` */
function usable({ gateways, unusable, models }: Setup, name: string): Setup["gateways"] {
  const aliases = new Map(Object.entries(models.aliases ?? {}).map(([alias, stands]) => [alias, [stands].flat()]))
  const providers = resolveModels([name], aliases).map((model) => model.slice(0, model.indexOf("/")))
  if (providers.some((provider) => gateways.some((gateway) => gateway.provider === provider))) return gateways
  const [first = ""] = providers
  const broken = providers.map((provider) => unusable.get(provider)).find((error) => error !== undefined)
  throw broken ?? noProvider("ask", name, first)
}

function jsonOf({ message, usage, costMicroUsd, ...answer }: BrokerCompletion): object {
  const { answeredBy, model, finishReason, tries, durationMs, usageEstimated = false } = answer
  return {
    model: answeredBy,
    answeredBy: model,
    text: message.content,
    reasoning: message.reasoning ?? null,
    finishReason,
    usage,
    usageEstimated,
    costUsd: costMicroUsd === undefined ? null : costMicroUsd / 1_000_000,
    tries,
    durationMs: Math.round(durationMs),
  }
}

/** An answer on its way to whoever asked. */
class Answer {
  #text = ""

  constructor(private readonly cli: Cli) {}

  add(part: StreamPart): void {
    const { out } = this.cli
    if (part.type === "text") {
      this.#text += part.text
      out.write(printableLines(part.text))
    } else if (part.type === "reasoning" && out.terminal) out.write(out.paint("dim", printableLines(part.text)))
  }

  /** The cost goes to standard error: what a pipe gets is the answer alone. */
  async end(answer: BrokerCompletion): Promise<void> {
    const { content } = answer.message
    this.breakOff()
    if (this.#text !== content) {
      if (this.#text !== "") warn("the answer broke off and was asked for again; here it is whole")
      await this.cli.out.line(printableLines(content))
    }
    if (answer.finishReason !== "stop") warn(`the answer is not whole: ${answer.finishReason}`)
    process.stderr.write(`${summary(answer)}\n`)
  }

  /** What comes next begins on a line of its own. */
  breakOff(): void {
    if (this.#text !== "" && !this.#text.endsWith("\n")) this.cli.out.write("\n")
  }
}

function summary({ answeredBy, usage, costMicroUsd, durationMs, tries }: BrokerCompletion): string {
  const { inputTokens, outputTokens } = usage
  const parts = [
    `${inputTokens} in, ${counted(outputTokens, "token")} out`,
    costMicroUsd === undefined ? "no known price" : dollars(costMicroUsd / 1_000_000),
    duration(durationMs),
    ...(tries > 1 ? [`asked ${tries} times`] : []),
  ]
  return `${answeredBy}: ${parts.join(", ")}`
}

/** Gateways take out their own keys; what a gateway of somebody's own says is looked through here. */
function withoutSecrets(thrown: unknown): unknown {
  if (!(thrown instanceof MurmurError)) return thrown
  return new MurmurError(createRedactor(process.env).text(thrown.message), { code: thrown.code })
}
