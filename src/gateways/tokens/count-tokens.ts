/** Runs without a break are merged pair by pair, which takes time in the square of their length: 8 s for 100,000 letters. */
const RUN_MAX = 256
const LONG_RUN = new RegExp(`\\S{${RUN_MAX + 1},}|\\s{${RUN_MAX + 1},}`, "g")
/** A text that names a special token is a text all the same. */
const AS_TEXT = { disallowedSpecial: new Set<string>() }

/**
 * How many tokens a text has by OpenAI's encoding `o200k_base` (gpt-4o and later); other providers' tokenizers differ by
 * up to a third. Exact but for runs of more than 256 characters without white space, which count a little more. Loads some
 * 2 MB of tables at its first call (a quarter of a second).
 */
export async function countTokens(text: string): Promise<number> {
  const { countTokens: count } = await encoding()
  let tokens = 0
  for (const piece of pieces(text)) tokens += count(piece, AS_TEXT)
  return tokens
}

/**
 * The beginning of a text that has at most so many tokens (as {@link countTokens} counts); never half a character.
 *
 * @param tokensMax an integer >= 0
 */
export async function truncateToTokens(text: string, tokensMax: number): Promise<string> {
  for (let tokens = tokensMax; ; tokens--) {
    const cut = await firstTokens(text, tokens)
    // what was cut in a word may be more tokens than it was as a part of it
    if (cut === text || tokens <= 0 || (await countTokens(cut)) <= tokensMax) return cut
  }
}

async function firstTokens(text: string, count: number): Promise<string> {
  const { encodeGenerator, decode } = await encoding()
  let left = count
  let length = 0
  for (const piece of pieces(text)) {
    for (const tokens of encodeGenerator(piece, AS_TEXT)) {
      const whole = tokens.length <= left
      length += decode(whole ? tokens : tokens.slice(0, left)).length
      left -= tokens.length
      if (!whole) return text.slice(0, endOfCharacter(text, length))
    }
  }
  return text
}

type Encoding = typeof import("gpt-tokenizer/encoding/o200k_base")

function encoding(): Promise<Encoding> {
  return import("gpt-tokenizer/encoding/o200k_base")
}

/** The text, cut inside of runs that are too long, never inside a character. */
function* pieces(text: string): Iterable<string> {
  let from = 0
  for (const { index, 0: run } of text.matchAll(LONG_RUN)) {
    for (let at = index + RUN_MAX; at < index + run.length; at += RUN_MAX) {
      const to = endOfCharacter(text, at)
      yield text.slice(from, to)
      from = to
    }
  }
  yield text.slice(from)
}

/** A place at which a text can be cut: before a surrogate pair rather than inside it. */
function endOfCharacter(text: string, at: number): number {
  const code = text.charCodeAt(at - 1)
  const next = text.charCodeAt(at)
  return code >= 0xd800 && code <= 0xdbff && next >= 0xdc00 && next <= 0xdfff ? at - 1 : at
}
