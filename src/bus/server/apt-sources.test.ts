import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, onTestFinished, test } from "vitest"
import { aptMirrors, parseDeb822, parseOneLine } from "./apt-sources.js"

function aptFolder(files: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), "murmur-apt-"))
  onTestFinished(() => rmSync(root, { recursive: true }))
  mkdirSync(join(root, "sources.list.d"))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(root, name), text)
  return root
}

test("one-line sources: options, comments, source packages and slashes at the end", () => {
  const text = `# deb http://commented.example/debian stable main
deb http://one.example/debian/ stable main contrib # non-free
deb-src http://source.example/debian stable main
  deb [arch=amd64 signed-by=/usr/share/keyrings/a.gpg] https://two.example/debian stable non-free main
deb https://flat.example/packages ./
nonsense
`
  expect(parseOneLine(text)).toEqual([
    { uri: "http://one.example/debian", components: ["main", "contrib"] },
    { uri: "https://two.example/debian", components: ["non-free", "main"] },
    { uri: "https://flat.example/packages", components: [] },
  ])
})

test("deb822 sources: several URIs, values over several lines, comments inside, switched-off paragraphs", () => {
  const text = `Types: deb deb-src
# a comment inside of a paragraph
URIs: http://one.example/debian/
 https://two.example/debian
Suites: stable stable-updates
components: main
 contrib

Types: deb-src
URIs: http://source.example/debian
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Components: main
`
  expect(parseDeb822(text)).toEqual([
    { uri: "http://one.example/debian", components: ["main", "contrib"] },
    { uri: "https://two.example/debian", components: ["main", "contrib"] },
  ])
})

test("mirrors: both formats, each once, the distribution's own first, only http and https, only with main", () => {
  const root = aptFolder({
    "sources.list": `deb cdrom:[Debian]/ stable main
deb http://vendor.example/apt stable main
deb http://mirror.example/debian-security stable-security main
deb http://mirror.example/debian stable main
`,
    "sources.list.d/b.sources": "Types: deb\nURIs: http://mirror.example/debian/\nComponents: main\n",
    "sources.list.d/c.list": "deb http://extra.example/debian stable contrib\n",
    "sources.list.d/d.list.save": "deb http://backup.example/debian stable main\n",
  })
  expect(aptMirrors(root)).toEqual([
    "http://mirror.example/debian",
    "http://mirror.example/debian-security",
    "http://vendor.example/apt",
  ])
})

test("mirrors named in a file, as cloud images do it", () => {
  const root = aptFolder({
    list: "# the region's own\nhttps://near.example/debian/ priority:1\n\nhttps://far.example/debian\n",
  })
  writeFileSync(join(root, "sources.list"), `deb mirror+file://${join(root, "list")} stable main\n`)
  expect(aptMirrors(root)).toEqual(["https://near.example/debian", "https://far.example/debian"])
})

test("a machine without apt has no mirrors", () => {
  expect(aptMirrors("/nonexistent/apt")).toEqual([])
})
