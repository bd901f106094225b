// Breaks things on purpose, on real servers and nodes:
//   node scripts/chaos.mjs                         the small form, as CI runs it
//   node scripts/chaos.mjs --long --minutes 60     the whole fault matrix; what goes on at random goes on so long
//   node scripts/chaos.mjs --long kills network    only the test files with these words in their names
import { spawnSync } from "node:child_process"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"

const HELP = `npm run test:chaos -- [options] [words of file names]
  --long          all faults, with large numbers; takes half an hour and more
  --minutes <n>   how long what goes on at random goes on in the long form; default 1
  --seed <n>      of chance; a test that fails says its own`

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const vitest = join(dirname(createRequire(import.meta.url).resolve("vitest/package.json")), "vitest.mjs")

/** @returns what the command line asks for; ends the process when it cannot be read */
function readArguments() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        long: { type: "boolean", default: false },
        minutes: { type: "string", default: "1" },
        seed: { type: "string", default: "1" },
        help: { type: "boolean", default: false },
      },
    })
    for (const name of ["minutes", "seed"]) {
      if (!(Number(values[name]) > 0)) throw new Error(`--${name} must be a number > 0, is ${values[name]}`)
    }
    return { ...values, words: positionals }
  } catch (error) {
    process.stderr.write(`${error.message}\n${HELP}\n`)
    process.exit(2)
  }
}

const { long, minutes, seed, help, words } = readArguments()
if (help) {
  process.stdout.write(`${HELP}\n`)
  process.exit(0)
}
const files = words.length > 0 ? words.map((word) => `test/chaos/${word}`) : ["test/chaos"]
const { status } = spawnSync(process.execPath, [vitest, "run", "--project", "integration", ...files], {
  cwd: root,
  stdio: "inherit",
  env: { ...process.env, CHAOS_LONG: long ? "1" : "0", CHAOS_MINUTES: minutes, CHAOS_SEED: seed },
})
process.exit(status ?? 1)
