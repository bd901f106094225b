import { statSync } from "node:fs"
import { resolve } from "node:path"
import { z } from "zod"
import { TerminalError } from "../../errors.js"
import { defineTool } from "../tools/define-tool.js"
import type { Tool, ToolEffect } from "../tools/tool.js"
import { findProgram } from "./find-program.js"
import {
  type BuiltinOptions,
  checkCount,
  checkKnown,
  checkRecord,
  checkTexts,
  common,
  refused,
  wrong,
} from "./options.js"
import { type Ended, runProgram } from "./run-program.js"

/** Options of {@link shell}. */
export interface ShellOptions<Name extends string = string> extends BuiltinOptions<Name> {
  /** What it may run: programs (`npm`), or programs with their first arguments (`git log`). Found on the node's PATH. */
  readonly allow: readonly string[]
  /** Where programs run. */
  readonly cwd: string
  /** All that programs find in their environment. Default nothing. */
  readonly env?: Readonly<Record<string, string>>
  /** How much of each output is kept, in bytes. Default 64 KiB. */
  readonly maxBytes?: number
  /** What the programs do to the world. Default `irreversible`. */
  readonly effect?: Exclude<ToolEffect, "reconcile">
  /** Whether what they write must not leave. Default true. */
  readonly private?: boolean
  /** Whether they send out what they are given. Default true. */
  readonly egress?: boolean
  /** Whether outsiders write what they read and print. Default true. */
  readonly untrusted?: boolean
}

const Input = z.object({
  program: z.string().describe("Its name, without a path"),
  args: z.array(z.string()).max(200).default([]).describe("Given to the program as they are: there is no shell"),
})

const OWN = ["allow", "cwd", "env", "maxBytes", "effect", "private", "egress", "untrusted"]
const ARGS_CHARS_MAX = 64 * 1024
const MIB = 1024 ** 2
/** A name, and arguments. No path: what runs is what the node's PATH has. */
const PROGRAM = /^[A-Za-z0-9_][A-Za-z0-9_.+-]*$/

/**
 * A tool that runs programs of an allow-list. No shell reads its arguments, programs find nothing in their environment but
 * `env`, and when the time is up all that they started is killed.
 *
 * A program may do whatever its arguments make it do: allow `git log` rather than `git`.
 *
 * @throws MurmurError `TOOL_OPTION`
 * @example
 * const git = shell({ name: "git", allow: ["git log", "git show"], cwd: "checkout", effect: "read" })
 */
export function shell<const Name extends string = "shell">(
  options: ShellOptions<Name>,
): Tool<NoInfer<Name>, z.input<typeof Input>, Ended> {
  checkKnown("shell", options, OWN)
  const { name = "shell" as Name } = options
  const allowed = checkTexts(name, "allow", options.allow, "programs").map((entry) => wordsOf(name, entry))
  const cwd = cwdOf(name, options.cwd)
  const env = checkRecord(name, "env", options.env ?? {})
  const maxBytes = checkCount(name, "maxBytes", options.maxBytes ?? MIB / 16, 1, 16 * MIB)
  return defineTool({
    name,
    description: options.description ?? `Runs a program. Allowed: ${options.allow.join(", ")}`,
    input: Input,
    effect: options.effect ?? "irreversible",
    private: options.private ?? true,
    egress: options.egress ?? true,
    untrusted: options.untrusted ?? true,
    ...common(options),
    run: ({ program, args }, { signal }): Promise<Ended> => {
      const words = [program, ...args]
      if (!allowed.some((start) => start.every((word, at) => words[at] === word))) {
        const list = allowed.map((each) => each.join(" ")).join(", ")
        throw refused(name, `${JSON.stringify(words.slice(0, 3).join(" "))} is not allowed (allowed: ${list})`)
      }
      checkArgs(name, args)
      const file = findProgram(program) ?? notFound(name, program)
      return runProgram({ file, args, cwd, env, maxBytes, signal })
    },
  })
}

function checkArgs(tool: string, args: readonly string[]): void {
  if (args.some((arg) => arg.includes("\0"))) throw refused(tool, "an argument holds a NUL character")
  const chars = args.reduce((sum, arg) => sum + arg.length, 0)
  if (chars > ARGS_CHARS_MAX)
    throw refused(tool, `its arguments have ${chars} characters, and may have ${ARGS_CHARS_MAX}`)
}

function wordsOf(tool: string, entry: string): readonly string[] {
  const words = entry.trim().split(/\s+/)
  if (PROGRAM.test(words[0] ?? "")) return words
  return wrong(tool, `allow takes names of programs, and may add their first arguments, not ${JSON.stringify(entry)}`)
}

function cwdOf(tool: string, cwd: unknown): string {
  if (typeof cwd !== "string" || cwd === "") return wrong(tool, `cwd must be a folder, is ${JSON.stringify(cwd)}`)
  const path = resolve(cwd)
  if (statSync(path, { throwIfNoEntry: false })?.isFile()) wrong(tool, `cwd must be a folder, and ${cwd} is a file`)
  return path
}

function notFound(tool: string, program: string): never {
  throw new TerminalError(`Tool "${tool}" cannot run ${program}: it is not on the node's PATH`, {
    code: "TOOL_SHELL",
    details: { tool, program },
  })
}
