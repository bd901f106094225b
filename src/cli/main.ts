#!/usr/bin/env node

/*
 * The command line. A command's start is dominated by Node itself, so nothing is loaded before it is needed: a command's
 * module comes with its action.
 */
import nodeModule from "node:module"

// Node 22 and newer keep compiled code between runs; Node 20 has no such thing.
const { enableCompileCache } = nodeModule as { enableCompileCache?: () => unknown }
enableCompileCache?.()

const HELP = ["--help", "-h", "help"]

process.exitCode = await main(process.argv.slice(2))
await leave()

async function main(argv: readonly string[]): Promise<number> {
  try {
    if (argv.length === 0 || (argv.length === 1 && HELP.includes(argv[0] ?? ""))) {
      const { helpText } = await import("./help.js")
      const stream = argv.length === 0 ? process.stderr : process.stdout
      stream.write(helpText())
      return argv.length === 0 ? 2 : 0
    }
    const { parseCommandLine } = await import("./parse.js")
    const parsed = parseCommandLine(argv)
    if (parsed.ask === "help") {
      const { helpText, commandHelp } = await import("./help.js")
      process.stdout.write(parsed.command === undefined ? helpText(parsed.group) : commandHelp(parsed.command))
    } else if (parsed.ask === "version") {
      process.stdout.write(`${(await import("../node/version.js")).VERSION}\n`)
    } else {
      const [action, { Output }, { readSecretFiles }] = await Promise.all([
        parsed.command.load(),
        import("./output.js"),
        import("./secret-files.js"),
      ])
      readSecretFiles(process.env)
      await action({ options: parsed.global, out: new Output() }, parsed.args as never, parsed.options as never)
    }
    return 0
  } catch (error) {
    return (await import("./failure.js")).reportFailure(error, argv.includes("--json"))
  }
}

/** Whatever may still hold the process (a connection that does not close) must not keep the shell waiting. */
async function leave(): Promise<void> {
  await new Promise<void>((resolve) => {
    process.stdout.once("error", () => resolve())
    process.stdout.write("", () => resolve())
  })
  process.exit()
}
