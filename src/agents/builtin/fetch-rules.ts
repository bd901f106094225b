import { isIP } from "node:net"
import { refused, wrong } from "./options.js"

/** One entry of an allow-list: a host, with all its subdomains or without. */
interface AllowedHost {
  readonly host: string
  readonly subdomains: boolean
  /** Default: the protocol's own. */
  readonly port: string
}

const LABELS = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]*[a-z0-9])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9])?)*$/

/** Decides which addresses may be asked. */
export class FetchRules {
  readonly #allowed: readonly AllowedHost[]

  /** @param allow `api.github.com`, `*.example.com` (its subdomains, not itself), `example.com:8443` */
  constructor(
    private readonly tool: string,
    allow: readonly string[],
  ) {
    this.#allowed = allow.map((entry) => this.#parse(entry))
  }

  /**
   * A URL that may be asked. Its host is as the URL standard writes it, so `0x7f.1` is an address like any other.
   *
   * @throws TerminalError `TOOL_REFUSED`
   */
  check(text: string, base?: URL): URL {
    const url = this.#url(text, base)
    if (url.protocol !== "https:" && url.protocol !== "http:") {
      throw this.#refused(url, `"${url.protocol}" is not allowed, only http and https`)
    }
    if (base?.protocol === "https:" && url.protocol === "http:") {
      throw this.#refused(url, `it was sent from https to "${url.host}" without encryption`)
    }
    if (url.username !== "" || url.password !== "") throw this.#refused(url, "a URL may not hold a user or a password")
    const host = hostOf(url)
    if (!this.#allowed.some((allowed) => fits(allowed, host, url.port))) {
      throw this.#refused(url, `host "${url.host}" is not allowed (allowed: ${this.#allowed.map(written).join(", ")})`)
    }
    return url
  }

  #refused(url: URL, why: string) {
    return refused(this.tool, why, { host: url.host })
  }

  #url(text: string, base: URL | undefined): URL {
    try {
      return new URL(text, base)
    } catch {
      throw refused(this.tool, `${JSON.stringify(text.slice(0, 200))} is no URL`)
    }
  }

  #parse(entry: string): AllowedHost {
    const [, star, host = "", port = ""] = /^(\*\.)?(\[[\da-fA-F:.]+\]|[^:/@?#\\\s]+)(?::(\d{1,5}))?$/.exec(entry) ?? []
    const parsed = parseHost(host)
    if (parsed === undefined || (star !== undefined && isIP(parsed) !== 0)) {
      const wanted = `hosts like "api.example.com", "*.example.com" or "example.com:8443"`
      return wrong(this.tool, `allow takes ${wanted}, not ${JSON.stringify(entry)}`)
    }
    return { host: parsed, subdomains: star !== undefined, port }
  }
}

/** As the URL standard writes it. */
function parseHost(host: string): string | undefined {
  const url = URL.canParse(`http://${host}`) ? new URL(`http://${host}`) : undefined
  if (host === "" || url === undefined) return undefined
  const name = hostOf(url)
  return isIP(name) !== 0 || LABELS.test(name) ? name : undefined
}

/** The host of a URL, without the brackets of IPv6 and the dot at the end. */
export function hostOf(url: URL): string {
  const host = url.hostname.startsWith("[") ? url.hostname.slice(1, -1) : url.hostname
  return host.endsWith(".") ? host.slice(0, -1) : host
}

function fits(allowed: AllowedHost, host: string, port: string): boolean {
  if (allowed.port !== port) return false
  return allowed.subdomains ? host.endsWith(`.${allowed.host}`) && isIP(host) === 0 : host === allowed.host
}

function written({ host, subdomains, port }: AllowedHost): string {
  return `${subdomains ? "*." : ""}${host}${port === "" ? "" : `:${port}`}`
}
