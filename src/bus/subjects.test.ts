import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { isMurmurError } from "../errors.js"
import { checkName, checkType, decodeKey, encodeKey, MeshNames } from "./subjects.js"

/** Any JavaScript string: lone surrogates, control characters, and often what has a meaning in subjects. */
const anyString = fc.oneof(
  fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)) }),
  fc.string({ unit: "binary" }),
  fc.string({ unit: "grapheme" }),
  fc.string({
    unit: fc.constantFrom("%", "_", ".", "*", ">", " ", "\n", "\0", "h", "5", "F", "é", "\ud800", "\udc00"),
  }),
)
const longString = fc.string({ unit: fc.constantFrom("a", "é", "."), minLength: 150, maxLength: 500 })
const nameText = fc.stringMatching(/^[a-z0-9][a-z0-9_-]{0,63}$/)
const typeText = fc
  .array(fc.stringMatching(/^[A-Za-z0-9_-]{1,10}$/), { minLength: 1, maxLength: 6 })
  .map((tokens) => tokens.join("."))
const isHashed = (token: string): boolean => /^%h[\w-]{43}$/.test(token)

/** The code of the error that `work` throws; fails when it throws nothing, or something else. */
function codeOf(work: () => unknown): string {
  try {
    work()
  } catch (error) {
    if (isMurmurError(error)) return error.code
    throw error
  }
  throw new Error("nothing was thrown")
}

describe("a key in a subject", () => {
  it("comes back as it was, whatever string it is", () => {
    fc.assert(
      fc.property(anyString, (key) => {
        const token = encodeKey(key)
        if (isHashed(token)) expect(decodeKey(token)).toBeUndefined()
        else expect(decodeKey(token)).toBe(key)
      }),
      { numRuns: 2_000 },
    )
  })

  it("is one token of printable ASCII without wildcards, at most 200 bytes", () => {
    fc.assert(
      fc.property(fc.oneof(anyString, longString), (key) => {
        const token = encodeKey(key)
        expect(token).toMatch(/^[!-~]{1,200}$/)
        expect(token).not.toMatch(/[.*>]/)
      }),
      { numRuns: 2_000 },
    )
  })

  it("differs when the keys differ", () => {
    fc.assert(
      fc.property(fc.oneof(anyString, longString), fc.oneof(anyString, longString), (a, b) => {
        expect(encodeKey(a) === encodeKey(b)).toBe(a === b)
      }),
      { numRuns: 2_000 },
    )
  })

  it.each([
    [undefined, "_"],
    ["", "%"],
    ["_", "%5F"],
    ["__", "__"],
    ["%", "%25"],
    ["%h", "%25h"],
    ["BTC/USD", "BTC/USD"],
    ["octo/hello.world", "octo/hello%2Eworld"],
    ["a b\t", "a%20b%09"],
    [">*", "%3E%2A"],
    ["é€😀", "%C3%A9%E2%82%AC%F0%9F%98%80"],
    ["\ud800", "%ED%A0%80"],
    ["\u007f", "%7F"],
  ])("is for %j the token %j", (key, token) => {
    expect(encodeKey(key)).toBe(token)
    expect(decodeKey(token)).toBe(key)
  })

  it("is hashed from 201 bytes of token on, and not before", () => {
    expect(encodeKey("a".repeat(200))).toBe("a".repeat(200))
    expect(isHashed(encodeKey("a".repeat(201)))).toBe(true)
    expect(isHashed(encodeKey(".".repeat(66)))).toBe(false)
    expect(isHashed(encodeKey(".".repeat(67)))).toBe(true)
    expect(decodeKey(encodeKey("a".repeat(201)))).toBeUndefined()
  })
})

describe("a token read from a subject", () => {
  const garbage = fc.oneof(
    anyString,
    fc
      .array(fc.constantFrom("%", "%C3", "%ED", "%F4", "%FF", "%A0", "%80", "%h", "%4", "a", "%41", "%c3", "_"))
      .map((parts) => parts.join("")),
  )

  it("is a key that encodes to it, or no key, or refused as KEY_TOKEN", () => {
    fc.assert(
      fc.property(garbage, (token) => {
        let key: string | undefined
        try {
          key = decodeKey(token)
        } catch (error) {
          expect(isMurmurError(error) && error.code).toBe("KEY_TOKEN")
          return
        }
        if (key === undefined) expect(token === "_" || isHashed(token)).toBe(true)
        else expect(encodeKey(key)).toBe(token)
      }),
      { numRuns: 3_000 },
    )
  })

  // Two spellings of one key would lie in two partitions.
  it.each([
    ["a sign that needs no encoding", "%41"],
    ["lower-case digits", "%c3%A9"],
    ["a cut digit", "a%2"],
    ["no digits", "a%zz"],
    ["a cut sequence", "%E2%82"],
    ["a letter inside of a sequence", "%E2a82%AC"],
    ["a sequence that is longer than it must be", "%C0%AE"],
    ["a surrogate pair in two sequences", "%ED%A0%80%ED%B0%80"],
    ["a code point beyond Unicode", "%F7%BF%BF%BF"],
    ["a byte that begins no sequence", "%80%80"],
    ["what is no hash", "%hello"],
    ["nothing", ""],
    ["unencoded characters", "schlüssel"],
    ["white space", "a b"],
    ["a key that should be hashed", "a".repeat(201)],
  ])("is refused with %s", (_what, token) => {
    expect(codeOf(() => decodeKey(token))).toBe("KEY_TOKEN")
  })

  it("is refused with the right spelling, when there is one", () => {
    expect(() => decodeKey("octo%2Fhello")).toThrow('the token of this key is "octo/hello"')
  })
})

describe("an event's subject", () => {
  const names = new MeshNames("murmur")
  const parts = fc.record({ producer: nameText, key: fc.option(anyString, { nil: undefined }), type: typeText })

  it("says producer, key and type when it is read again, published or stored", () => {
    fc.assert(
      fc.property(parts, fc.nat({ max: 7 }), fc.nat({ max: 63 }), ({ producer, key, type }, p8, p64) => {
        const subject = names.publishSubject(producer, key, type)
        const expected = { producer, key: isHashed(encodeKey(key)) ? undefined : key, type }
        expect(names.parsePublished(subject)).toEqual(expected)
        expect(names.parseStored(subject.replace(".ev.", `.ev.${p8}.${p64}.`))).toEqual(expected)
      }),
      { numRuns: 1_000 },
    )
  })

  it.each([
    "",
    "murmur",
    "murmur.ev.cli._",
    "murmur.ev.cli..a",
    "murmur.ev..k.a",
    "murmur.ev.cli.k.",
    "murmur.ev.cli.k.a..b",
    "murmur.ev.cli.k.a.*",
    "murmur.ev.cli.k.>",
    "murmur.ev.*.k.a",
    "murmur.ev.CLI.k.a",
    "other.ev.cli.k.a",
    "murmur.dead.cli.k.a",
    `murmur.ev.cli.k.${"a".repeat(201)}`,
  ])("is refused when it is %j", (subject) => {
    expect(codeOf(() => names.parsePublished(subject))).toBe("SUBJECT")
  })

  it("is refused when the published form is read as the stored one", () => {
    expect(codeOf(() => names.parseStored("murmur.ev.cli.k.ci.run.completed"))).toBe("SUBJECT")
    expect(codeOf(() => names.parseStored("murmur.ev.x.3.cli.k.ci.run"))).toBe("SUBJECT")
  })

  it("is refused for its key with KEY_TOKEN", () => {
    expect(codeOf(() => names.parsePublished("murmur.ev.cli.%zz.a"))).toBe("KEY_TOKEN")
  })

  it("is not made for a producer or a type that is no token", () => {
    expect(codeOf(() => names.publishSubject("a.b", "k", "ci.run"))).toBe("NAME_INVALID")
    expect(codeOf(() => names.publishSubject("cli", "k", "ci.*"))).toBe("EVENT_TYPE")
  })
})

describe("a filter over stored events", () => {
  const names = new MeshNames("murmur")

  it.each([
    [{}, "murmur.ev.*.*.*.*.ci.run.*"],
    [{ partitions: 1 as const, partition: 0 }, "murmur.ev.*.*.*.*.ci.run.*"],
    [{ partitions: 8 as const, partition: 7 }, "murmur.ev.7.*.*.*.ci.run.*"],
    [{ partitions: 64 as const, partition: 63 }, "murmur.ev.*.63.*.*.ci.run.*"],
    [{ key: "a.b", producer: "cli" }, "murmur.ev.*.*.cli.a%2Eb.ci.run.*"],
    [{ key: "" }, "murmur.ev.*.*.*.%.ci.run.*"],
  ])("is for %j %s", (only, filter) => {
    expect(names.storedFilter("ci.run.*", only)).toBe(filter)
  })

  it.each(["*", ">", "ci", "ci.>", "*.run", "ci.*.done"])("takes the pattern %s", (pattern) => {
    expect(names.storedFilter(pattern)).toBe(`murmur.ev.*.*.*.*.${pattern}`)
  })

  it.each(["", ".", "ci.", ">.ci", "ci.r*n", "a b", "ci.>.x"])("refuses the pattern %j", (pattern) => {
    expect(codeOf(() => names.storedFilter(pattern))).toBe("FILTER")
  })

  it.each([
    { partitions: 8 as const, partition: 8 },
    { partitions: 64 as const, partition: -1 },
    { partitions: 8 as const, partition: 0.5 },
  ])("refuses the partition %j", (only) => {
    expect(codeOf(() => names.storedFilter(">", only))).toBe("FILTER")
  })

  it("refuses a producer that is a wildcard", () => {
    expect(codeOf(() => names.storedFilter(">", { producer: "*" }))).toBe("NAME_INVALID")
  })
})

describe("names and types", () => {
  it("of tokens are returned as they are", () => {
    fc.assert(
      fc.property(nameText, typeText, (name, type) => {
        expect(checkName(name, "agent")).toBe(name)
        expect(checkType(type)).toBe(type)
      }),
    )
  })

  it("are refused when they could not be a part of a subject", () => {
    const bad = anyString.filter((text) => !/^[\w-]+(\.[\w-]+)*$/.test(text))
    fc.assert(
      fc.property(bad, (text) => {
        expect(codeOf(() => checkName(text, "agent"))).toBe("NAME_INVALID")
        expect(codeOf(() => checkType(text))).toBe("EVENT_TYPE")
      }),
    )
  })

  it.each([
    ["", "NAME_INVALID"],
    ["-a", "NAME_INVALID"],
    ["A", "NAME_INVALID"],
    ["a\n", "NAME_INVALID"],
    ["a".repeat(65), "NAME_INVALID"],
  ])("refuse the name %j", (name, code) => {
    expect(codeOf(() => checkName(name, "agent"))).toBe(code)
  })

  it.each(["", ".", "a.", ".a", "a..b", "a b", "a.*", "a.>", "a\n", "é", "a".repeat(201)])(
    "refuse the type %j",
    (type) => {
      expect(codeOf(() => checkType(type))).toBe("EVENT_TYPE")
    },
  )

  it("refuse what is no string, though it may read like one", () => {
    const undefinedName = undefined as unknown as string
    expect(codeOf(() => checkName(undefinedName, "agent"))).toBe("NAME_INVALID")
    expect(codeOf(() => checkType(undefinedName))).toBe("EVENT_TYPE")
  })

  it("say what was named, what is wanted and what was found", () => {
    expect(() => checkName("Triage", "agent")).toThrow(
      'Cannot name the agent "Triage": a name is 1 to 64 of a-z, 0-9, "_" and "-", and starts with a letter or digit',
    )
  })

  it("refuse a mesh that could not be named so", () => {
    expect(codeOf(() => new MeshNames("a.b"))).toBe("NAME_INVALID")
    expect(new MeshNames("a-b")).toMatchObject({ mesh: "a-b", events: "a-b_EVENTS", dead: "a-b_DEAD" })
  })

  it("refuse an agent with a wildcard in the subjects of sessions and dead letters", () => {
    const names = new MeshNames("murmur")
    expect(names.sessionSubject("triage", "a.b")).toBe("murmur.ses.triage.a%2Eb")
    expect(names.deadSubject("triage", undefined)).toBe("murmur.dead.triage._")
    expect(codeOf(() => names.sessionSubject("*", "k"))).toBe("NAME_INVALID")
    expect(codeOf(() => names.deadSubject(">", "k"))).toBe("NAME_INVALID")
  })
})
