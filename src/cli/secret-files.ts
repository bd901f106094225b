import { readFileSync } from "node:fs"
import { ensureError, MurmurError } from "../errors.js"

/** The secrets that commands read from their environment. */
const SECRETS = [
  "MURMUR_TOKEN",
  "GITHUB_WEBHOOK_SECRET",
  "GITLAB_WEBHOOK_SECRET",
  "OPENAI_API_KEY",
  "ANTHROPIC_API_KEY",
  "GEMINI_API_KEY",
  "GOOGLE_API_KEY",
  "OLLAMA_API_KEY",
]

/**
 * Takes secrets from the files that `MURMUR_TOKEN_FILE`, `OPENAI_API_KEY_FILE` and so on name, as containers and services
 * are given them: a file is seen by those who may read it, an environment by everybody who may ask the engine about it.
 * A variable that is set itself is left alone.
 *
 * @throws MurmurError `SECRET_FILE` when a file cannot be read or is empty
 */
export function readSecretFiles(env: NodeJS.ProcessEnv): void {
  for (const name of SECRETS) {
    const file = env[`${name}_FILE`]
    if (file && !env[name]) env[name] = secretIn(file, `${name}_FILE`)
  }
}

function secretIn(file: string, variable: string): string {
  const unusable = (why: string, cause?: unknown): MurmurError =>
    new MurmurError(`Cannot read the secret of ${variable}, "${file}": ${why}`, { code: "SECRET_FILE", cause })
  let text: string
  try {
    text = readFileSync(file, "utf8").trim()
  } catch (cause) {
    throw unusable(ensureError(cause).message, cause)
  }
  if (text === "") throw unusable("the file is empty")
  return text
}
