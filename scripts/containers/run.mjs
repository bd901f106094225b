import { spawn } from "node:child_process"

/**
 * Runs a program to its end and keeps what it says. Never throws for how it ended: a program that is not there or that
 * took too long has the code 127 or 124, as a shell would have it.
 *
 * @param {{ env?: NodeJS.ProcessEnv, timeoutMs?: number }} [options]
 * @returns {Promise<{ code: number, stdout: string, stderr: string }>}
 */
export function run(command, args, { env = process.env, timeoutMs = 60_000 } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { env, stdio: ["ignore", "pipe", "pipe"] })
    const out = []
    const err = []
    let late = false
    const timer = setTimeout(() => {
      late = true
      child.kill("SIGKILL")
    }, timeoutMs)
    const end = (code, more = "") => {
      clearTimeout(timer)
      resolve({ code, stdout: String(Buffer.concat(out)), stderr: `${Buffer.concat(err)}${more}` })
    }
    child.stdout.on("data", (chunk) => out.push(chunk))
    child.stderr.on("data", (chunk) => err.push(chunk))
    child.on("error", (error) => end(127, error.message))
    child.on("close", (code) => (late ? end(124, `no end within ${timeoutMs} ms`) : end(code ?? 1)))
  })
}

/** Like {@link run}. @throws Error with what the program said, when it did not succeed */
export async function must(command, args, options) {
  const result = await run(command, args, options)
  if (result.code === 0) return result.stdout
  const said = result.stderr.trim() || result.stdout.trim()
  throw new Error(`"${[command, ...args].join(" ")}" failed (${result.code}): ${said}`)
}
