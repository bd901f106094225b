import { TerminalError } from "../errors.js"
import type { Gateway, PullProgress } from "../gateways/gateway.js"
import type { Cli } from "./cli.js"
import { noProvider } from "./models/mending.js"
import { readSetup } from "./models/setup.js"
import { usageError } from "./usage.js"

const MEBI = 1024 * 1024

/** `murmur models pull <provider/model> [paths...]`: fetches a model to the machine of its provider, and tells how far it is. */
export async function modelsPull(cli: Cli, [name, paths]: [string, string[]]): Promise<void> {
  const slash = name.indexOf("/")
  const [provider, model] = [name.slice(0, slash), name.slice(slash + 1)]
  if (slash < 1 || model === "")
    throw usageError(`a model's name is provider/model, as "ollama/qwen3:8b", is "${name}"`)
  const { gateways, unusable } = await readSetup(paths)
  const broken = unusable.get(provider)
  if (broken !== undefined) throw broken
  const pull = pullOf(
    gateways.find((gateway) => gateway.provider === provider),
    provider,
    name,
  )
  const progress = cli.options.json ? jsonProgress(cli, name) : textProgress(process.stderr, name)
  const { signal } = new AbortController()
  let last: PullProgress | undefined
  try {
    for await (const step of pull(model, { signal })) {
      last = step
      await progress.show(step)
    }
  } finally {
    progress.done()
  }
  if (last === undefined)
    throw new TerminalError(`Cannot pull "${name}": its provider said nothing`, { code: "LLM_REPLY" })
  if (cli.options.json) await cli.out.json({ model: name, status: "pulled", pulled: true })
  else await cli.out.line(`pulled ${name}`)
}

function pullOf(gateway: Gateway | undefined, provider: string, name: string): NonNullable<Gateway["pull"]> {
  if (gateway === undefined) throw noProvider("pull", name, provider)
  if (gateway.pull === undefined) {
    throw new TerminalError(
      `Cannot pull "${name}": "${provider}" has its models itself; only those of Ollama are fetched`,
      {
        code: "LLM_UNSUPPORTED",
      },
    )
  }
  return gateway.pull.bind(gateway)
}

interface Progress {
  show(step: PullProgress): Promise<void>
  done(): void
}

function jsonProgress({ out }: Cli, model: string): Progress {
  return { show: (step) => out.json({ model, ...step }), done: () => {} }
}

/** On a terminal one line that changes, elsewhere one for each thing that is done. */
function textProgress(err: NodeJS.WriteStream, model: string): Progress {
  let last = ""
  return {
    async show({ status, completedBytes, totalBytes }) {
      const size = totalBytes ? ` ${mebis(completedBytes)} of ${mebis(totalBytes)} MiB` : ""
      const text = `${model}: ${status}${err.isTTY ? size : ""}`
      if (text === last) return
      last = text
      err.write(err.isTTY ? `\r\u001b[K${text}` : `${text}\n`)
    },
    done() {
      if (err.isTTY && last !== "") err.write("\r\u001b[K")
    },
  }
}

const mebis = (bytes = 0): string => (bytes / MEBI).toFixed(1)
