import { TerminalError } from "../../errors.js"

const PORT = "11434"

/** Where an Ollama server is. */
export interface OllamaAddress {
  /** Without a slash at its end, and without name and password. */
  readonly url: string
  /** The header that name and password of the address make; `fetch` takes no such addresses. */
  readonly authorization: string | undefined
  /** What of the address nobody is to see. */
  readonly secrets: readonly string[]
}

/**
 * Reads an address as Ollama's own tools do: `host`, `host:port`, `:port` or a URL; port 11434 unless a URL says its
 * scheme. A server that listens everywhere (`0.0.0.0`, `[::]`) is asked on this machine.
 *
 * @throws TerminalError `LLM_OPTION`
 */
export function ollamaAddress(host: string): OllamaAddress {
  const text = host.trim()
  const withScheme = /^https?:\/\//i.test(text)
  const url = parse(withScheme ? text : `http://${text.startsWith(":") ? "127.0.0.1" : ""}${text}`)
  if (url === undefined || url.hostname === "") {
    throw new TerminalError(`Cannot use "${shown(host)}" as Ollama's host: wanted host:port or an http address`, {
      code: "LLM_OPTION",
    })
  }
  if (!withScheme && url.port === "" && !/:80(\/|$)/.test(text)) url.port = PORT
  if (url.hostname === "0.0.0.0") url.hostname = "127.0.0.1"
  if (url.hostname === "[::]") url.hostname = "[::1]"
  const [username, password] = [decoded(url.username), decoded(url.password)]
  const pair = `${username}:${password}`
  return {
    url: `${url.protocol}//${url.host}${url.pathname}`.replace(/\/+$/, ""),
    authorization: pair === ":" ? undefined : `Basic ${Buffer.from(pair).toString("base64")}`,
    secrets: pair === ":" ? [] : [pair, password],
  }
}

function parse(text: string): URL | undefined {
  return URL.canParse(text) ? new URL(text) : undefined
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** Without what might be a password. */
function shown(host: string): string {
  return host.replace(/[^/]*@/, "")
}
