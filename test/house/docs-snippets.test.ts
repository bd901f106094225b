import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, resolve } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { collectPage, collectSnippets } from "../support/snippets/collect.js"
import { matchesOutput, runPage } from "../support/snippets/run-page.js"
import { compileSnippets } from "../support/snippets/workspace.js"

/** A page, written without having to escape its fences: `~` stands for a backtick at the begin of a line. */
const page = (...lines: string[]): string => lines.map((line) => line.replace(/^( *)~~~/, "$1```")).join("\n")

describe("collecting snippets", () => {
  it("puts code on the lines that it has in the page", () => {
    const { snippets } = collectPage("a.md", page("# Title", "", "~~~ts", "const a = 1", "~~~"))
    expect(snippets).toEqual([
      {
        page: "a.md",
        line: 3,
        language: "ts",
        source: "\n\n\nconst a = 1\n",
        file: "line-3.ts",
        run: false,
        output: undefined,
      },
    ])
  })

  it("joins a continued snippet to all that it continues", () => {
    const text = page(
      "~~~ts",
      "const a = 1",
      "~~~",
      "~~~ts continued",
      "const b = a",
      "~~~",
      "~~~ts run continued",
      "b",
      "~~~",
    )
    const { snippets, problems } = collectPage("a.md", text)
    expect(problems).toEqual([])
    expect(snippets.map(({ source }) => source.split("\n").filter((line) => line !== ""))).toEqual([
      ["const a = 1"],
      ["const a = 1", "const b = a"],
      ["const a = 1", "const b = a", "b"],
    ])
    expect(snippets[2]?.source.split("\n")[7]).toBe("b")
  })

  it("finds fences in lists, longer fences and tildes, and leaves fences inside of fences alone", () => {
    const text = page("- item", "", "  ~~~ts", "  const a = 1", "    a", "  ~~~", "````ts", "`", "~~~", "````")
    const { snippets, problems } = collectPage("a.md", text)
    expect(problems).toEqual([])
    expect(snippets.map(({ line, source }) => [line, source.trim()])).toEqual([
      [3, "const a = 1\n  a"],
      [7, "`\n```"],
    ])
  })

  it("gives what a snippet prints to the one before it", () => {
    const text = page("~~~sh run", "echo hi", "~~~", "which prints", "~~~text output", "hi", "~~~")
    expect(collectPage("a.md", text).snippets).toMatchObject([{ language: "sh", run: true, output: "hi" }])
  })

  it("leaves shell lines alone that are not marked to be run", () => {
    expect(collectPage("a.md", page("~~~sh", "npm start", "~~~", "~~~json", "{}", "~~~"))).toEqual({
      snippets: [],
      problems: [],
    })
  })

  it.each([
    ["a fence that never closes", page("~~~ts", "const a = 1"), "never closed"],
    ["an unknown mark", page("~~~ts nocheck", "~~~"), '"nocheck"'],
    ["an unknown mark on a shell snippet", page("~~~sh continued", "~~~"), '"continued"'],
    ["a language that would not be checked", page("~~~typescript", "~~~"), 'write "ts"'],
    ["ignore without a reason", page("~~~ts ignore", "const a = 1", "~~~"), "not checked: <reason>"],
    ["ignore with an empty reason", page("~~~ts ignore", "// not checked:", "~~~"), "not checked: <reason>"],
    ["nothing to continue", page("~~~ts continued", "~~~"), "none before it"],
    ["two files of one name", page("~~~ts file=a.ts", "~~~", "~~~ts file=a.ts", "~~~"), "same name"],
    ["an output of nothing", page("~~~ts", "~~~", "~~~text output", "~~~"), "no snippet before it is run"],
  ])("refuses %s", (_what, text, message) => {
    expect(collectPage("docs/a.md", text).problems).toEqual([expect.stringMatching(/^docs\/a\.md:\d+ /)])
    expect(collectPage("docs/a.md", text).problems[0]).toContain(message)
  })

  it("skips an ignored snippet that says why", () => {
    const text = page("~~~ts ignore", "// not checked: needs a vendor's account", "nonsense(", "~~~")
    expect(collectPage("a.md", text)).toEqual({ snippets: [], problems: [] })
  })
})

describe("what a page says is printed", () => {
  it.each([
    ["one\ntwo\n", "one\ntwo", true],
    ["one\ntwo\n", "one", false],
    ["id 123 stored\n", "id ... stored", true],
    ["a\nb\nc\n", "a\n...\nc", true],
    ["a\nc\n", "a\n...\nc", true],
    ["a\nb\n", "a\n...", true],
    ["a.c\n", "abc", false],
    ["abc\n", "a.c", false],
  ])("%j matches %j: %s", (printed, shown, expected) => {
    expect(matchesOutput(printed, shown)).toBe(expected)
  })
})

describe("a repository", () => {
  let root: string

  beforeEach(() => {
    root = realpathSync(mkdtempSync(join(tmpdir(), "murmur-snippets-")))
    write(
      "package.json",
      JSON.stringify({
        name: "murmur",
        type: "module",
        exports: { ".": { types: "./dist/index.d.ts", default: "./dist/index.js" } },
      }),
    )
    write("tsconfig.json", JSON.stringify({ extends: resolve("tsconfig.json"), compilerOptions: { types: ["node"] } }))
    write("dist/index.d.ts", "export declare function greet(name: string): string\n")
    write("dist/index.js", 'export const greet = (name) => "hello " + name\n')
    write("dist/cli/main.js", 'console.log("cli", ...process.argv.slice(2))\n')
    mkdirSync(join(root, "docs"))
    symlinkSync(resolve("node_modules"), join(root, "node_modules"), "junction")
  })
  afterEach(() => {
    rmSync(root, { recursive: true, force: true })
  })

  function write(path: string, text: string): void {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }

  /** Compiles and runs all pages, as the test of the real docs does. */
  async function checkDocs(timeoutMs = 10_000): Promise<string[]> {
    const { snippets, problems } = collectSnippets(root)
    const workspace = await compileSnippets(root, snippets)
    const ran: string[] = []
    for (const name of new Set(snippets.map((snippet) => snippet.page))) {
      const options = { root, workspace, natsUrl: "nats://127.0.0.1:1", timeoutMs }
      ran.push(
        ...(await runPage(
          snippets.filter((snippet) => snippet.page === name),
          options,
        )),
      )
    }
    workspace.remove()
    return [...problems, ...workspace.problems, ...ran]
  }

  it("with snippets that compile and print what the page says has no problems", async () => {
    write(
      "README.md",
      page(
        "~~~ts file=names.ts",
        'export const who = "murmur"',
        "~~~",
        "~~~ts",
        'import { greet } from "murmur"',
        "~~~",
        "~~~ts run continued",
        'import { who } from "./names.js"',
        "console.log(greet(who), process.env.NATS_URL)",
        "~~~",
        "~~~text output",
        "hello murmur nats://...",
        "~~~",
      ),
    )
    write("docs/decisions/0001-old.md", page("~~~ts", "nonsense(", "~~~"))
    expect(await checkDocs()).toEqual([])
  })

  it("says file and line of the page for each snippet that does not compile, once", async () => {
    write("README.md", "nothing")
    write(
      "docs/guide/a.md",
      page(
        "~~~ts",
        'import { greet } from "murmur"',
        "greet(1)",
        "~~~",
        "~~~ts continued",
        "const a: string = 1",
        "~~~",
        "~~~ts",
        'import { x } from "murmur/dist/x.js"',
        "~~~",
      ),
    )
    expect(await checkDocs()).toEqual([
      expect.stringMatching(/^docs\/guide\/a\.md:3 TS2345: /),
      expect.stringMatching(/^docs\/guide\/a\.md:6 TS2322: /),
      expect.stringMatching(/^docs\/guide\/a\.md:9 TS2307: /),
    ])
  })

  it("says file and line of each snippet that fails, hangs or prints something else", async () => {
    write(
      "README.md",
      page(
        "~~~ts run",
        'throw new Error("broken")',
        "~~~",
        "~~~ts run",
        'console.log("one")',
        "~~~",
        "~~~text output",
        "two",
        "~~~",
        "~~~ts run",
        "setInterval(() => {}, 1_000)",
        "~~~",
      ),
    )
    const problems = await checkDocs(1_500)
    expect(problems).toEqual([
      expect.stringMatching(/^README\.md:1 exited with 1:[\s\S]*broken[\s\S]*line-1\.ts:2/),
      expect.stringMatching(/^README\.md:4 printed something else[\s\S]*one/),
      expect.stringMatching(/^README\.md:10 did not end in time/),
    ])
  })

  it.skipIf(process.platform === "win32")("runs shell snippets with our murmur, in one folder a page", async () => {
    write(
      "README.md",
      page(
        "~~~sh run",
        "npx murmur publish a.b > said.txt",
        "~~~",
        "~~~sh run",
        "cat said.txt; murmur tail",
        "~~~",
        "~~~text output",
        "cli publish a.b",
        "cli tail",
        "~~~",
        "~~~sh run",
        "false",
        "echo not reached",
        "~~~",
      ),
    )
    expect(await checkDocs()).toEqual(["README.md:11 exited with 1:\n"])
  })
})
