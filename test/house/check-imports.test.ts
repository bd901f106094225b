import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, resolve } from "node:path"
import { pathToFileURL } from "node:url"
import { afterEach, beforeEach, describe, expect, it } from "vitest"

const { checkTree } = (await import(pathToFileURL(resolve("scripts/imports/check-tree.mjs")).href)) as {
  checkTree(root: string): { files: number; problems: string[] }
}
let root: string

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "murmur-imports-"))
})
afterEach(() => {
  rmSync(root, { recursive: true, force: true })
})

/** Writes a tree and says what the check thinks of it. */
function check(files: Record<string, string>): string[] {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  return checkTree(root).problems
}

/** A file that only imports. */
const imports = (...specifiers: string[]): string => specifiers.map((name) => `import "${name}"`).join("\n")

describe("the arrows", () => {
  it.each([
    ["src/bus/a.ts", "../router/b.js"],
    ["src/bus/a.ts", "../agents/b.js"],
    ["src/router/a.ts", "../agents/b.js"],
    ["src/router/a.ts", "../gateways/b.js"],
    ["src/gateways/a.ts", "../bus/b.js"],
    ["src/agents/a.ts", "../sources/b.js"],
    ["src/agents/a.ts", "../node/b.js"],
    ["src/sources/a.ts", "../agents/b.js"],
    ["src/sources/a.ts", "../gateways/b.js"],
    ["src/node/a.ts", "../http/b.js"],
    ["src/node/a.ts", "../cli/b.js"],
    ["src/http/a.ts", "../cli/b.js"],
    ["src/bus/a.ts", "../telemetry/setup.js"],
    ["src/agents/a.ts", "../telemetry/log.js"],
    ["src/telemetry/a.ts", "../bus/b.js"],
    ["src/bus/a.ts", "../index.js"],
    ["src/bus/a.ts", "murmur"],
    ["src/errors.ts", "./bus/b.js"],
    ["src/bus/a.ts", "../../test/support/b.js"],
    ["src/bus/a.ts", "./b.test.js"],
    ["src/nowhere/a.ts", "../bus/b.js"],
  ])("refuse that %s imports %s", (file, specifier) => {
    const problems = check({ [file]: `\n\nimport "${specifier}"\n` })
    expect(problems).toHaveLength(1)
    expect(problems[0]).toContain(`${file}:3 imports "${specifier}": `)
  })

  it.each([
    ["src/router/a.ts", "../bus/b.js"],
    ["src/agents/a.ts", "../router/b.js"],
    ["src/agents/a.ts", "../bus/b.js"],
    ["src/agents/a.ts", "../gateways/b.js"],
    ["src/sources/a.ts", "../bus/b.js"],
    ["src/node/a.ts", "../sources/b.js"],
    ["src/node/a.ts", "../agents/b.js"],
    ["src/http/a.ts", "../node/b.js"],
    ["src/cli/commands/a.ts", "../../http/b.js"],
    ["src/bus/a.ts", "../telemetry/ports.js"],
    ["src/gateways/a.ts", "../telemetry/redact.js"],
    ["src/node/a.ts", "../telemetry/setup.js"],
    ["src/bus/deep/a.ts", "../b.js"],
    ["src/sources/a.ts", "../errors.js"],
    ["src/index.ts", "./node/b.js"],
    ["src/bus/a.test.ts", "../agents/b.js"],
    ["test/a.test.ts", "../src/bus/b.js"],
    ["bench/a.ts", "@nats-io/jetstream"],
    ["examples/mesh/a.ts", "murmur"],
    ["examples/mesh/a.ts", "../shared/events.js"],
    ["examples/mesh/a.ts", "rxjs"],
  ])("allow that %s imports %s", (file, specifier) => {
    expect(check({ [file]: imports(specifier) })).toEqual([])
  })

  it("let telemetry use types of the bus", () => {
    expect(check({ "src/telemetry/ports.ts": 'import type { A } from "../bus/event.js"' })).toEqual([])
  })
})

describe("packages", () => {
  it.each([
    ["src/agents/a.ts", "@nats-io/jetstream"],
    ["src/node/a.ts", "rxjs"],
    ["src/agents/session.ts", "rxjs/operators"],
    ["src/agents/a.ts", "openai"],
    ["src/node/a.ts", "@anthropic-ai/sdk"],
    ["src/bus/a.ts", "@opentelemetry/api"],
    ["src/cli/a.ts", "pino"],
    ["examples/mesh/a.ts", "@nats-io/transport-node"],
    ["examples/mesh/a.ts", "murmur/dist/bus/connection.js"],
    ["examples/mesh/a.ts", "../../src/index.js/../bus/a.js"],
    ["examples/mesh/a.ts", "../../src/bus/a.js"],
  ])("stay in their homes: %s may not import %s", (file, specifier) => {
    const problems = check({ [file]: imports(specifier) })
    expect(problems).toHaveLength(1)
  })

  it("are allowed at home", () => {
    const tree = {
      "src/bus/connection.ts": imports("@nats-io/transport-node"),
      "src/bus/observe.ts": imports("rxjs"),
      "src/agents/react.ts": imports("rxjs"),
      "src/agents/windows/tumbling.ts": imports("rxjs"),
      "src/gateways/openai.ts": imports("openai"),
      "src/telemetry/setup.ts": imports("@opentelemetry/api", "pino"),
      // Names that only begin alike are other packages.
      "src/node/a.ts": imports("rxjs-like", "pinocchio"),
    }
    expect(check(tree)).toEqual([])
  })
})

describe("every form of import is seen", () => {
  it.each([
    ["a static import", 'import { a } from "rxjs"'],
    ["a type import", 'import type { A } from "rxjs"'],
    ["an import for its effects", 'import "rxjs"'],
    ["a re-export", 'export { a } from "rxjs"'],
    ["a re-export of everything", 'export * from "rxjs"'],
    ["a type re-export", 'export type { A } from "rxjs"'],
    ["a dynamic import", 'const a = await import("rxjs")'],
    ["a dynamic import of a template", "const a = await import(`rxjs`)"],
    ["an import type", 'export type A = import("rxjs").Observable<1>'],
    ["an import equals", 'import a = require("rxjs")'],
    ["a require", 'const a = require("rxjs")'],
    ["an import over several lines", 'import {\n  a,\n} from "rxjs"'],
  ])("%s", (_form, text) => {
    expect(check({ "src/node/a.ts": `export {}\n${text}\n` })).toEqual([
      expect.stringContaining('src/node/a.ts:2 imports "rxjs"'),
    ])
  })

  it("and text that only looks like one is not", () => {
    const text =
      'export const a = `import "rxjs"` // import "rxjs"\n/* import "rxjs" */ export const b = /import "rxjs"/\n'
    expect(check({ "src/node/a.ts": text })).toEqual([])
  })
})

describe("cycles", () => {
  it("are named with the files on them", () => {
    const problems = check({
      "src/bus/a.ts": imports("./b.js"),
      "src/bus/b.ts": `\n${imports("./c.js")}`,
      "src/bus/c.ts": imports("./a.js"),
      "src/bus/d.ts": imports("./a.js"),
    })
    expect(problems).toEqual([
      expect.stringContaining(
        "src/bus/a.ts:1 is part of an import cycle: src/bus/a.ts -> src/bus/b.ts -> src/bus/c.ts -> src/bus/a.ts",
      ),
    ])
  })

  it("count dynamic imports and imports whose every name is a type", () => {
    const problems = check({
      "src/bus/a.ts": 'export const b = await import("./b.js")',
      "src/bus/b.ts": 'import { type A } from "./a.js"',
    })
    expect(problems).toHaveLength(1)
  })

  it("do not count type-only imports", () => {
    const tree = { "src/bus/a.ts": imports("./b.js"), "src/bus/b.ts": 'import type { A } from "./a.js"' }
    expect(check(tree)).toEqual([])
  })
})

it("A file that cannot be parsed is a failure, not a file without imports", () => {
  const problems = check({ "src/bus/a.ts": "export const = 1\n" })
  expect(problems).toEqual([expect.stringContaining("src/bus/a.ts:1 cannot be parsed")])
})

it("The command exits with 0, 1 or 2 and says why", () => {
  const run = () => spawnSync(process.execPath, [resolve("scripts/check-imports.mjs"), root], { encoding: "utf8" })
  expect(run()).toMatchObject({ status: 2, stdout: expect.stringContaining("no TypeScript files") })
  check({ "src/bus/a.ts": "export const a = 1" })
  expect(run()).toMatchObject({ status: 0, stdout: expect.stringContaining("1 files: every import") })
  check({ "src/bus/b.ts": imports("../agents/c.js") })
  expect(run()).toMatchObject({ status: 1, stdout: expect.stringContaining('src/bus/b.ts:1 imports "../agents/c.js"') })
})
