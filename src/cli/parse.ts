import { parseArgs } from "node:util"
import type { GlobalOptions } from "./cli.js"
import { COMMANDS, type CommandSpec, GLOBAL_OPTIONS, GROUPS, type OptionSpec } from "./commands.js"
import { usageError } from "./usage.js"

/** What a command line asks for. */
export type Parsed =
  | { readonly ask: "help"; readonly command?: CommandSpec | undefined; readonly group?: string | undefined }
  | { readonly ask: "version" }
  | {
      readonly ask: "run"
      readonly command: CommandSpec
      /** One value for each declared argument; the last one is a list when it may repeat. */
      readonly args: readonly (string | readonly string[] | undefined)[]
      readonly options: Readonly<Record<string, unknown>>
      readonly global: GlobalOptions
    }

/** An option's name and the placeholder of its value: `--key <key>` is `key` and `<key>`. */
export function optionName({ flags }: OptionSpec): { name: string; value: string | undefined } {
  const [long = "", value] = flags.split(" ")
  return { name: long.slice(2), value }
}

const HELP: OptionSpec = { flags: "--help", description: "show help" }
const VERSION: OptionSpec = { flags: "--version", description: "show the version" }

/**
 * Reads a command line by the table of commands. Options may stand anywhere; those of every command also before its name.
 * (Measured: Node's own `parseArgs` under this table starts in a millisecond; a parser from npm took 11 of a command's
 * 140.)
 *
 * @throws MurmurError `USAGE`
 */
export function parseCommandLine(argv: readonly string[]): Parsed {
  if (argv[0] === "help") return parseCommandLine([...argv.slice(1), "--help"])
  const { command, group, rest } = findCommand(argv)
  const specs = [...(command?.options ?? []), ...GLOBAL_OPTIONS, HELP, VERSION]
  const { values, positionals } = readOptions(takesIds(command) ? idsLast(rest) : rest, specs)
  if (values.help) return { ask: "help", command: isExplicit(command, argv) ? command : undefined, group }
  if (values.version && command === undefined) return { ask: "version" }
  if (command === undefined) throw usageError(`name a command${group ? ` of "${group}"` : ""} (see "murmur --help")`)
  const args = bindArguments(command, positionals)
  const options: Record<string, unknown> = {}
  for (const spec of command.options ?? []) {
    const { name } = optionName(spec)
    const given = values[name]
    if (given === undefined && spec.required) throw usageError(`"murmur ${command.name}" needs ${spec.flags}`)
    if (given === undefined) continue
    options[camel(name)] = Array.isArray(given)
      ? given.map((text) => spec.parse?.(text) ?? text)
      : typeof given === "string" && spec.parse
        ? spec.parse(given)
        : given
  }
  return { ask: "run", command, args, options, global: globalOptions(values) }
}

/** A group alone asks for the group's help, also when one of its commands is the standard one. */
const isExplicit = (command: CommandSpec | undefined, argv: readonly string[]): boolean =>
  command?.name.split(" ").every((word) => argv.includes(word)) ?? false

const takesIds = (command: CommandSpec | undefined): boolean => /\bids?\b|-id>/.test(command?.args ?? "")

/** Derived ids have 22 characters, and one in 64 begins with "-": such an argument is an id and no option. */
function idsLast(args: readonly string[]): string[] {
  const isId = (arg: string): boolean => /^-[A-Za-z0-9_-]{21}$/.test(arg)
  const ids = args.filter(isId)
  return ids.length === 0 ? [...args] : [...args.filter((arg) => !isId(arg) && arg !== "--"), "--", ...ids]
}

interface Found {
  readonly command: CommandSpec | undefined
  readonly group: string | undefined
  /** The command line without the command's words. */
  readonly rest: string[]
}

function findCommand(argv: readonly string[]): Found {
  const at = wordAt(argv, 0)
  const first = argv[at]
  if (first === undefined) return { command: undefined, group: undefined, rest: [...argv] }
  const without = argv.filter((_, index) => index !== at)
  const group = GROUPS.find(({ name }) => name === first)
  if (group === undefined) return { command: byName(first), group: undefined, rest: without }
  const nextAt = wordAt(without, at)
  const second = without[nextAt]
  const named = COMMANDS.find(({ name }) => name === `${first} ${second}`)
  const rest = named === undefined ? without : without.filter((_, index) => index !== nextAt)
  const standard = COMMANDS.find(({ name }) => name === `${first} ${group.standard}`)
  // what is no command of the group may be an argument of its standard one
  if (named !== undefined || second === undefined || standard?.args !== undefined) {
    return { command: named ?? standard, group: first, rest }
  }
  return { command: byName(`${first} ${second}`), group: first, rest }
}

/** Where the next word stands that is neither an option nor the value of one; past the end when there is none. */
function wordAt(argv: readonly string[], from: number): number {
  const valued = GLOBAL_OPTIONS.map(optionName).filter(({ value }) => value !== undefined)
  for (let at = from; at < argv.length; at++) {
    const arg = argv[at] ?? ""
    if (!arg.startsWith("-")) return at
    if (valued.some(({ name }) => arg === `--${name}`)) at += 1
  }
  return argv.length
}

function byName(name: string): CommandSpec {
  const command = COMMANDS.find((candidate) => candidate.name === name)
  if (command !== undefined) return command
  const close = similar(name, [...COMMANDS.map((candidate) => candidate.name), ...GROUPS.map((group) => group.name)])
  throw usageError(`there is no command "${name}"${close} (see "murmur --help")`)
}

type Values = Record<string, string | boolean | string[] | undefined>

function readOptions(rest: readonly string[], specs: readonly OptionSpec[]): { values: Values; positionals: string[] } {
  const options: Record<string, { type: "string" | "boolean"; short?: string; multiple?: boolean }> = {}
  for (const spec of specs) {
    const { name, value } = optionName(spec)
    options[name] = { type: value === undefined ? "boolean" : "string", multiple: spec.repeats === true }
    if (spec.short !== undefined) options[name].short = spec.short
  }
  options.help = { type: "boolean", short: "h" }
  options.version = { type: "boolean", short: "V" }
  try {
    const { values, positionals } = parseArgs({ args: [...rest], options, allowPositionals: true, strict: true })
    return { values: values as Values, positionals }
  } catch (error) {
    throw usageError(explain(error as Error & { code?: string }, Object.keys(options)))
  }
}

function explain(error: Error & { code?: string }, known: readonly string[]): string {
  const unknown = /^Unknown option '(-+[^']*)'/.exec(error.message)?.[1]
  if (error.code !== "ERR_PARSE_ARGS_UNKNOWN_OPTION" || unknown === undefined) return error.message
  return `unknown option ${unknown}${similar(
    unknown,
    known.map((name) => `--${name}`),
  )}`
}

/** A hint at what was probably meant. */
function similar(name: string, known: readonly string[]): string {
  const bare = name.replace(/^-+/, "")
  const shared = (other: string): number => {
    let length = 0
    while (length < other.length && other[length] === bare[length]) length += 1
    return length
  }
  const best = known
    .map((candidate) => ({ candidate, common: shared(candidate.replace(/^-+/, "")) }))
    .sort((a, b) => b.common - a.common || a.candidate.length - b.candidate.length)[0]
  return best !== undefined && best.common >= 2 ? `; did you mean "${best.candidate}"?` : ""
}

function bindArguments(command: CommandSpec, given: readonly string[]): (string | string[] | undefined)[] {
  const declared = command.args?.split(" ") ?? []
  const bound = declared.map((placeholder, at) => {
    if (placeholder.includes("...")) return given.slice(at)
    if (given[at] === undefined && placeholder.startsWith("<")) {
      throw usageError(`"murmur ${command.name}" needs ${placeholder}: murmur ${command.name} ${command.args}`)
    }
    return given[at]
  })
  const extra = declared.some((placeholder) => placeholder.includes("...")) ? undefined : given[declared.length]
  if (extra === undefined) return bound
  throw usageError(`"murmur ${command.name}" does not know what to do with ${JSON.stringify(extra)}`)
}

function globalOptions(values: Values): GlobalOptions {
  const text = (name: string, variable: string): string | undefined =>
    (values[name] as string | undefined) ?? (process.env[variable] || undefined)
  return {
    nats: text("nats", "NATS_URL"),
    mesh: text("mesh", "MURMUR_MESH") ?? "murmur",
    login: {
      ...loginOf(values, text),
      caFile: text("tlsca", "NATS_CA"),
      certFile: text("tlscert", "NATS_CERT"),
      keyFile: text("tlskey", "NATS_KEY"),
    },
    json: values.json === true,
  }
}

/** Who is named on the command line wins over whoever the environment names. */
function loginOf(
  { creds, nkey }: Values,
  text: (name: string, variable: string) => string | undefined,
): Pick<GlobalOptions["login"], "credsFile" | "nkeyFile"> {
  if (creds !== undefined || nkey !== undefined) {
    return { credsFile: creds as string | undefined, nkeyFile: nkey as string | undefined }
  }
  return { credsFile: text("creds", "NATS_CREDS"), nkeyFile: text("nkey", "NATS_NKEY") }
}

const camel = (name: string): string => name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())
