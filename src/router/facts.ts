import type { AttributeValues } from "./filter.js"
import { isLiteral, matches, overlaps, type Pattern } from "./pattern.js"

/** What is known of one attribute. */
interface Fact {
  readonly exact?: string | undefined
  /** The longest that is known. */
  readonly prefix: string
  readonly suffix: string
}

type Demand =
  | { readonly exact: AttributeValues }
  | { readonly prefix: AttributeValues }
  | { readonly suffix: AttributeValues }

const UNKNOWN: Fact = { prefix: "", suffix: "" }
const TRUST = ["internal", "external"]

/** What all events in question have in common, as far as their attributes tell. Contradictions are reported when added. */
export class Facts {
  readonly #known: Map<string, Fact>
  readonly #patterns: Pattern[]

  private constructor(known: Map<string, Fact>, patterns: Pattern[]) {
    this.#known = known
    this.#patterns = patterns
  }

  /** Events of types that fit the pattern. */
  static ofPattern(pattern: Pattern): Facts {
    const facts = new Facts(new Map(), [])
    facts.addPattern(pattern)
    return facts
  }

  copy(): Facts {
    return new Facts(new Map(this.#known), [...this.#patterns])
  }

  /** Adds that the type fits the pattern. @returns why that cannot be */
  addPattern(pattern: Pattern): string | undefined {
    const other = this.#patterns.find((known) => !overlaps(known, pattern))
    if (other !== undefined) return `no type fits both "${other}" and "${pattern}"`
    this.#patterns.push(pattern)
    if (isLiteral(pattern)) return this.#addExact("type", pattern)
    const tokens = pattern.split(".")
    const wild = tokens.findIndex((token) => token === "*" || token === ">")
    const prefix = tokens
      .slice(0, wild)
      .map((token) => `${token}.`)
      .join("")
    const last = tokens.findLastIndex((token) => token === "*" || token === ">")
    const suffix = tokens
      .slice(last + 1)
      .map((token) => `.${token}`)
      .join("")
    return this.#addPrefix("type", prefix) ?? this.#addSuffix("type", suffix)
  }

  /** Adds what a filter demands of attributes. @returns why that cannot be */
  add(demand: Demand): string | undefined {
    for (const [name, value] of entriesOf(demand)) {
      const reason =
        "exact" in demand
          ? this.#addExact(name, value)
          : "prefix" in demand
            ? this.#addPrefix(name, value)
            : this.#addSuffix(name, value)
      if (reason !== undefined) return reason
    }
    return undefined
  }

  /** Whether the demand follows from what is known. */
  imply(demand: Demand): boolean {
    return entriesOf(demand).every(([name, value]) => {
      const { exact, prefix, suffix } = this.#of(name)
      if ("exact" in demand) return exact === value
      if ("prefix" in demand) return (exact ?? prefix).startsWith(value)
      return (exact ?? suffix).endsWith(value)
    })
  }

  #of(name: string): Fact {
    return this.#known.get(name) ?? UNKNOWN
  }

  #addExact(name: string, value: string): string | undefined {
    const fact = this.#of(name)
    if (fact.exact !== undefined && fact.exact !== value)
      return `"${name}" cannot be both "${fact.exact}" and "${value}"`
    if (!value.startsWith(fact.prefix)) return `"${name}" starts with "${fact.prefix}", so it is never "${value}"`
    if (!value.endsWith(fact.suffix)) return `"${name}" ends with "${fact.suffix}", so it is never "${value}"`
    if (name === "trust" && !TRUST.includes(value)) return `"trust" is internal or external, never "${value}"`
    const unfit = name === "type" ? this.#patterns.find((pattern) => !matches(pattern, value)) : undefined
    if (unfit !== undefined) return `the type "${value}" does not fit the pattern "${unfit}"`
    this.#known.set(name, { ...fact, exact: value })
    return undefined
  }

  #addPrefix(name: string, value: string): string | undefined {
    const fact = this.#of(name)
    const { exact, prefix } = fact
    if (exact !== undefined && !exact.startsWith(value))
      return `"${name}" is "${exact}", which does not start with "${value}"`
    if (!prefix.startsWith(value) && !value.startsWith(prefix))
      return `"${name}" cannot start with both "${prefix}" and "${value}"`
    if (name === "trust" && !TRUST.some((word) => word.startsWith(value))) return `"trust" never starts with "${value}"`
    if (value.length > prefix.length) this.#known.set(name, { ...fact, prefix: value })
    return undefined
  }

  #addSuffix(name: string, value: string): string | undefined {
    const fact = this.#of(name)
    const { exact, suffix } = fact
    if (exact !== undefined && !exact.endsWith(value))
      return `"${name}" is "${exact}", which does not end with "${value}"`
    if (!suffix.endsWith(value) && !value.endsWith(suffix))
      return `"${name}" cannot end with both "${suffix}" and "${value}"`
    if (name === "trust" && !TRUST.some((word) => word.endsWith(value))) return `"trust" never ends with "${value}"`
    if (value.length > suffix.length) this.#known.set(name, { ...fact, suffix: value })
    return undefined
  }
}

function entriesOf(demand: Demand): [name: string, value: string][] {
  if ("exact" in demand) return Object.entries(demand.exact)
  return Object.entries("prefix" in demand ? demand.prefix : demand.suffix)
}
