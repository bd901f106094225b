import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { beforeAll, describe, expect, onTestFinished, test, vi } from "vitest"
import { Loader } from "../src/node/loader.js"
import { buildCli, cliEnv, jsonOf, MAIN, murmur } from "./cli/support/cli.js"
import { testBinary } from "./support/binary.js"
import { startOpenAiServer } from "./support/llm/openai-server.js"
import { startNodeProcess } from "./support/node-process.js"
import { run } from "./support/run.js"
import { collectPage, type Snippet } from "./support/snippets/collect.js"
import { readFences } from "./support/snippets/fences.js"
import { matchesOutput, withTools } from "./support/snippets/run-page.js"

const root = resolve(import.meta.dirname, "..")
const MINDS = "examples/minds"
const EXAMPLES = readdirSync(join(root, MINDS), { withFileTypes: true }).filter((entry) => entry.isDirectory())
/** With none of them nobody is asked. */
const OFFLINE = { OPENAI_API_KEY: "", OPENAI_BASE_URL: "", OLLAMA_HOST: "" }
const isReal = ["OPENAI_API_KEY", "OLLAMA_HOST"].some((name) => Boolean(process.env[name]))

beforeAll(buildCli, 120_000)

describe.each(EXAMPLES.map(({ name }) => name))("%s", (name) => {
  const page = `${MINDS}/${name}/README.md`
  const markdown = readFileSync(join(root, page), "utf8")
  const { snippets, problems } = collectPage(page, markdown)

  test("has a page with an order that starts it, and what is to be typed then", () => {
    expect(problems).toEqual([])
    expect(orderToStart(markdown)).toEqual(["up", `${MINDS}/${name}`])
    expect(snippets.map(({ source }) => source).join("\n")).toContain("npx murmur publish ")
    expect(snippets.every(({ output }) => output !== undefined)).toBe(true)
  })

  test("does offline what its page says", async () => {
    const env = await start(orderToStart(markdown), OFFLINE)
    for (const snippet of snippets) {
      const { code, stdout, stderr } = await type(snippet, env)
      expect(code, stderr).toBe(0)
      expect(matchesOutput(blanks(stdout), blanks(snippet.output ?? "")), `it printed:\n${stdout}`).toBe(true)
    }
    await nothingHasFailed(env)
  }, 60_000)

  test.each([
    [{}, "scripted/demo"],
    [{ OLLAMA_HOST: "gpu-1:11434" }, expect.stringMatching(/^ollama\//)],
    [{ OPENAI_API_KEY: "key", OLLAMA_HOST: "gpu-1:11434" }, "openai/gpt-5-mini"],
  ])("thinks, with %j in its environment, with the model that fits", async (given, model) => {
    for (const [name, value] of Object.entries({ ...OFFLINE, ...given })) vi.stubEnv(name, value)
    const { models } = await new Loader([join(root, MINDS, name)]).load()
    expect(models?.default).toEqual(model)
  })

  test.runIf(isReal)(
    "ends with its event when a real model answers",
    async () => {
      const env = await start(orderToStart(markdown), {})
      const [first] = snippets
      const { code, stdout, stderr } = await type(first as Snippet, env, 240_000)
      expect(code, stderr).toBe(0)
      expect(stdout.trimEnd().split("\n").at(-1)).toContain("{")
      await nothingHasFailed(env)
    },
    300_000,
  )
})

test("With a key an example asks the provider: a picture reaches it as it lies in the folder", async () => {
  const provider = await startOpenAiServer()
  onTestFinished(() => provider.close())
  const answer = { bars: [{ colour: "green", rank: 1 }], saying: "There is one bar." }
  provider.reply({ text: JSON.stringify(answer) })
  const more = { ...OFFLINE, OPENAI_API_KEY: "key", OPENAI_BASE_URL: `${provider.url}/v1` }
  const env = await start(["up", `${MINDS}/images`], more)
  const page = readFileSync(join(root, MINDS, "images/README.md"), "utf8")
  const { stdout } = await type(collectPage("images", page).snippets[0] as Snippet, env)
  expect(stdout).toContain(`"saying":"There is one bar."`)
  expect(provider.calls.length).toBe(1)
  expect(provider.last.model).toBe("gpt-5-mini")
  const picture = readFileSync(join(root, MINDS, "images/pictures/sales.png")).toString("base64")
  expect(JSON.stringify(provider.calls[0]?.body)).toContain(picture)
  await nothingHasFailed(env)
}, 60_000)

/** The words after `npx murmur` of the page's first command. */
function orderToStart(markdown: string): string[] {
  const [command = ""] = readFences(markdown).find(({ language }) => language === "sh")?.code ?? []
  const [npx, program, ...words] = command.split(" ")
  expect([npx, program]).toEqual(["npx", "murmur"])
  return words
}

/** Starts an example as its page says, from the root of the repository, with a state and a port of its own. */
async function start([, ...words]: readonly string[], more: Record<string, string>): Promise<NodeJS.ProcessEnv> {
  const folder = mkdtempSync(join(tmpdir(), "murmur-example-"))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  const own = { ...more, NATS_SERVER_BIN: testBinary(), MURMUR_DIR: join(folder, "state") }
  const node = await startNodeProcess([...words, "--port", "0"], { cwd: root, env: own })
  onTestFinished(() => node.terminate().then(() => {}))
  return withTools(folder, MAIN, cliEnv(own))
}

function type({ source }: Snippet, env: NodeJS.ProcessEnv, timeoutMs = 30_000) {
  return run("sh", ["-eu", "-c", source], { cwd: root, env, timeoutMs })
}

/** Columns are as wide as a terminal, and no page. */
const blanks = (text: string): string => text.replace(/[ \t]+/g, " ")

async function nothingHasFailed(env: NodeJS.ProcessEnv): Promise<void> {
  expect(jsonOf(await murmur(["dead", "ls", "--json"], { env }))).toEqual([])
}
