import type { StoredLetter } from "../node/dead-letter-store.js"
import type { Cli } from "./cli.js"
import { withMesh } from "./connect.js"
import { jaegerUrl } from "./jaeger.js"
import { openLetters } from "./letters.js"
import type { Output } from "./output.js"
import { duration, printable, printableLines } from "./text.js"

/** `murmur dead show <id>`: the whole story of one dead letter. */
export async function deadShow(cli: Cli, [id]: [string]): Promise<void> {
  const stored = await withMesh(cli.options, (bus, signal) => openLetters(bus).get(id, signal))
  const jaeger = jaegerUrl(stored.letter.traceId)
  if (cli.options.json) return cli.out.json({ ...stored.letter, seq: stored.seq, ...(jaeger && { jaeger }) })
  await show(cli.out, stored, jaeger)
}

async function show(out: Output, { letter, seq }: StoredLetter, jaeger: string | undefined): Promise<void> {
  const { event, error, attempts, calls = [], guard, traceId, raw } = letter
  const line = (name: string, value: string): Promise<void> => out.line(`  ${name.padEnd(9)} ${printable(value)}`)
  await out.line(`${out.paint("bold", `dead letter ${letter.id}`)}  ${out.paint("red", letter.reason)}`)
  await line("agent", letter.agent)
  await line("at", `${letter.at} (record ${seq})`)
  await line("event", `${event.id}  ${event.type}  key ${event.subject ?? "-"}  from ${event.producer}`)
  await line("trace", [traceId ?? "-", jaeger ?? ""].join("  ").trim())
  await line("error", `${error.code}: ${error.message}`)
  for (const { path, message } of error.issues ?? []) await line("", `at "${path}": ${message}`)
  for (const [at, attempt] of attempts.entries()) {
    const { code, message, durationMs } = attempt
    await line(`attempt ${at + 1}`, `${attempt.at}, ${duration(durationMs)}: ${code}: ${message}`)
  }
  for (const { call, answered } of calls) await line("call", `${call}${answered ? "" : ": its outcome is not known"}`)
  if (guard !== undefined) await line("path", [...guard.path, guard.agent].join(" -> "))
  if (error.stack !== undefined) await out.line(out.paint("dim", `\n${printableLines(error.stack)}`))
  if (raw === undefined) await out.line(`\n${printableLines(JSON.stringify(event, null, 2))}`)
  else await out.line(`\npayload as it came:\n${printableLines(Buffer.from(raw, "base64").toString())}`)
}
