import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

/** One archive that the machine's package manager is set up to use. */
export interface AptSource {
  /** Base of the mirror, without a slash at its end. */
  readonly uri: string
  readonly components: readonly string[]
}

/**
 * The mirrors of a Debian-like machine that can hold packages of the distribution's `main` component, the likeliest
 * first. Empty on other machines.
 *
 * @param root where apt keeps its settings
 */
export function aptMirrors(root = "/etc/apt"): string[] {
  const sources = files(root).flatMap((file) => {
    const text = read(file)
    return file.endsWith(".sources") ? parseDeb822(text) : parseOneLine(text)
  })
  const main = sources.filter((source) => source.components.includes("main")).flatMap(expandMirrorFile)
  const bases = [...new Set(main.map((source) => source.uri))].filter((uri) => /^https?:\/\//.test(uri))
  return bases.sort((a, b) => rank(a) - rank(b))
}

/** The distribution's own archive before its security archive before everyone else's. */
function rank(uri: string): number {
  if (/\/debian$/.test(uri)) return 0
  if (/security/.test(uri)) return 2
  return /debian/.test(uri) ? 1 : 3
}

/** The older format: `deb [options] uri suite component...`, one a line. */
export function parseOneLine(text: string): AptSource[] {
  const sources: AptSource[] = []
  for (const line of text.split("\n")) {
    const match = /^\s*deb\s+(?:\[[^\]]*\]\s*)?(\S+)\s+\S+\s*([^#]*)/.exec(line)
    if (match?.[1] === undefined) continue
    sources.push({ uri: trimSlash(match[1]), components: words(match[2] ?? "") })
  }
  return sources
}

/** The newer format: paragraphs of `Field: value`, where a value goes on in lines that begin with white space. */
export function parseDeb822(text: string): AptSource[] {
  const lines = text.split("\n").filter((line) => !line.startsWith("#"))
  return lines
    .join("\n")
    .split(/\n\s*\n/)
    .map(parseFields)
    .filter((fields) => words(fields.get("types") ?? "").includes("deb") && !isNo(fields.get("enabled")))
    .flatMap((fields) => {
      const components = words(fields.get("components") ?? "")
      return words(fields.get("uris") ?? "").map((uri) => ({ uri: trimSlash(uri), components }))
    })
}

function parseFields(paragraph: string): Map<string, string> {
  const fields = new Map<string, string>()
  let name = ""
  for (const line of paragraph.split("\n")) {
    const start = /^([^\s:]+):(.*)$/.exec(line)
    if (start?.[1] !== undefined) {
      name = start[1].toLowerCase()
      fields.set(name, start[2] ?? "")
    } else if (/^\s/.test(line)) {
      fields.set(name, `${fields.get(name) ?? ""} ${line}`)
    }
  }
  return fields
}

/** Cloud images name a file with one mirror a line. */
function expandMirrorFile(source: AptSource): AptSource[] {
  const file = /^mirror\+file:(?:\/\/)?(\/.*)$/.exec(source.uri)?.[1]
  if (file === undefined) return [source]
  const uris = read(file)
    .split("\n")
    .map((line) => words(line.replace(/#.*/, ""))[0])
  return uris.filter((uri) => uri !== undefined).map((uri) => ({ ...source, uri: trimSlash(uri) }))
}

function files(root: string): string[] {
  let parts: string[] = []
  try {
    parts = readdirSync(join(root, "sources.list.d")).sort()
  } catch {
    // Not a machine with apt, or one without that folder.
  }
  const usable = parts.filter((name) => /\.(list|sources)$/.test(name))
  return [join(root, "sources.list"), ...usable.map((name) => join(root, "sources.list.d", name))]
}

/** A file that is missing or may not be read has nothing to say. */
function read(file: string): string {
  try {
    return readFileSync(file, "utf8")
  } catch {
    return ""
  }
}

const words = (text: string): string[] => text.split(/\s+/).filter((word) => word !== "")
const trimSlash = (uri: string): string => uri.replace(/\/+$/, "")
const isNo = (value: string | undefined): boolean => /^\s*(no|false|0|off)\s*$/i.test(value ?? "")
