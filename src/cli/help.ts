import { COMMANDS, type CommandSpec, GLOBAL_OPTIONS } from "./commands.js"

/** What `murmur --help` prints; for a group, its commands only. */
export function helpText(group?: string): string {
  const shown = COMMANDS.filter(({ name }) => group === undefined || name.startsWith(`${group} `))
  const commands = shown.map(({ name, args, summary }) => [args === undefined ? name : `${name} ${args}`, summary])
  return `Usage: murmur ${group === undefined ? "" : `${group} `}<command> [options]

${group === undefined ? "A mesh of long-lived agents that react to events.\n\n" : ""}Commands:
${columns(commands)}

Options of every command:
${globals([["-V, --version", "show the version"]])}

Exit codes: 0 success, 1 the thing asked for failed, 2 wrong usage.
`
}

/** What `murmur <command> --help` prints. */
export function commandHelp({ name, args, summary, options = [], examples }: CommandSpec): string {
  const own = options.map(({ flags, short, description, required }) => [
    short === undefined ? flags : `-${short}, ${flags}`,
    required ? `${description} (required)` : description,
  ])
  const parts = [`Usage: murmur ${name}${args === undefined ? "" : ` ${args}`} [options]`, `${capital(summary)}.`]
  if (own.length > 0) parts.push(`Options:\n${columns(own)}`)
  parts.push(`Options of every command:\n${globals([])}`)
  if (examples !== undefined) parts.push(`Examples:\n${examples.map((line) => `  ${line}`.trimEnd()).join("\n")}`)
  return `${parts.join("\n\n")}\n`
}

function globals(more: readonly (readonly string[])[]): string {
  const options = GLOBAL_OPTIONS.map(({ flags, description }) => [flags, description])
  return columns([...options, ["-h, --help", "show help; also: murmur <command> --help"], ...more])
}

function columns(rows: readonly (readonly string[])[]): string {
  const width = Math.max(...rows.map(([left = ""]) => left.length))
  return rows.map(([left = "", right]) => `  ${left.padEnd(width)}  ${right}`).join("\n")
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)
