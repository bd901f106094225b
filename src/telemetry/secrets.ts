const NAMED = ["GITHUB_WEBHOOK_SECRET", "GITLAB_WEBHOOK_SECRET", "MURMUR_TOKEN"]
const NAMED_LENGTH_MIN = 4
const SECRET_VARIABLE = /_(?:KEY|TOKEN|SECRET|PASSWORD)$/
const VALUE_LENGTH_MIN = 8
const BASE64_CORE_MIN = 8
/** The hex digits of a shorter one turn up by chance. */
const HEX_LENGTH_MIN = 6

/**
 * The secret values in an environment: those of our own variables (several, when a comma separates them), of all that
 * are called `*_KEY`, `*_TOKEN`, `*_SECRET` or `*_PASSWORD`, and the headers sent to the telemetry collector.
 */
export function secretsOf(env: Readonly<Record<string, string | undefined>>): string[] {
  const secrets = new Set<string>()
  for (const [name, value] of Object.entries(env)) {
    if (!value) continue
    if (NAMED.includes(name)) {
      for (const part of [value, ...value.split(",")]) {
        if (part.trim().length >= NAMED_LENGTH_MIN) secrets.add(part.trim())
      }
    } else if (SECRET_VARIABLE.test(name) && value.length >= VALUE_LENGTH_MIN) {
      secrets.add(value)
    } else if (/^OTEL_EXPORTER_OTLP_(?:\w+_)?HEADERS$/.test(name)) {
      for (const part of headerValues(value)) if (part.length >= VALUE_LENGTH_MIN) secrets.add(part)
    }
  }
  return [...secrets]
}

/** Values of headers; of one with a scheme (`Bearer abc`) also what follows it, which is the secret itself. */
function headerValues(list: string): string[] {
  return list.split(",").flatMap((pair) => {
    const value = decoded(pair.slice(pair.indexOf("=") + 1).trim())
    return [value, value.replace(/^[\w-]+ +/, "")]
  })
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    return value
  }
}

/** Every form in which a secret may turn up in a text: as it is, in JSON, in a URL or form, in HTML, in base64, in hex. */
export function formsOf(secret: string): string[] {
  const json = JSON.stringify(secret).slice(1, -1)
  const hex = Buffer.from(secret).toString("hex")
  const forms = new Set([secret, json, JSON.stringify(json).slice(1, -1), ...urlForms(secret), htmlForm(secret)])
  for (const core of base64Cores(secret)) {
    forms.add(core)
    forms.add(core.replaceAll("+", "-").replaceAll("/", "_"))
    forms.add(encodeURIComponent(core))
  }
  if (secret.length >= HEX_LENGTH_MIN) for (const form of [hex, hex.toUpperCase()]) forms.add(form)
  return [...forms]
}

/** As a part of a URL, as a whole one, in a form, and each of them encoded once more, as in a redirect's parameter. */
function urlForms(secret: string): string[] {
  const form = new URLSearchParams({ "": secret }).toString().slice(1)
  const once = [encodeURIComponent(secret), encodeURI(secret), encodeURIComponent(secret).replaceAll("%20", "+"), form]
  const both = [...once, ...once.map((each) => encodeURIComponent(each))]
  return [...both, ...both.map((each) => each.replace(/%[0-9A-F]{2}/g, (hex) => hex.toLowerCase()))]
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
}

function htmlForm(secret: string): string {
  return secret.replace(/[&<>"']/g, (char) => ENTITIES[char] ?? char)
}

/**
 * Base64 of a text that contains the secret depends on where in it the secret starts, modulo 3. These are the
 * characters that the secret alone decides, for each of the three positions: `user:secret` in a Basic header is found too.
 */
function base64Cores(secret: string): string[] {
  const bytes = Buffer.from(secret)
  const cores: string[] = []
  for (const [offset, from] of [
    [0, 0],
    [1, 2],
    [2, 3],
  ] as const) {
    const end = Math.floor(((offset + bytes.length) * 8) / 6)
    const core = Buffer.concat([Buffer.alloc(offset), bytes])
      .toString("base64")
      .slice(from, end)
    if (core.length >= BASE64_CORE_MIN) cores.push(core)
  }
  return cores
}
