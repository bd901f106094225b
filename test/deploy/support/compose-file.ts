import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { parseDocument } from "yaml"
import { z } from "zod"

/** The folder deploy/. */
export const DEPLOY = fileURLToPath(new URL("../../../deploy/", import.meta.url))

const Service = z.strictObject({
  image: z.string(),
  build: z
    .strictObject({ context: z.string(), dockerfile: z.string(), args: z.record(z.string(), z.string()) })
    .optional(),
  pull_policy: z.string().optional(),
  user: z.string().optional(),
  entrypoint: z.array(z.string()).optional(),
  command: z.array(z.string()).optional(),
  environment: z.record(z.string(), z.string()).default({}),
  volumes: z.array(z.string()).default([]),
  ports: z.array(z.string()).default([]),
  profiles: z.array(z.string()).default([]),
  depends_on: z.record(z.string(), z.strictObject({ condition: z.string() })).default({}),
  healthcheck: z
    .union([
      z.strictObject({ disable: z.literal(true) }),
      z.strictObject({ test: z.array(z.string()), interval: z.string(), timeout: z.string(), retries: z.number() }),
    ])
    .optional(),
  restart: z.string().optional(),
  stop_grace_period: z.string().optional(),
  read_only: z.boolean().optional(),
  mem_limit: z.string().optional(),
  tmpfs: z.array(z.string()).optional(),
  cap_drop: z.array(z.string()).optional(),
  cap_add: z.array(z.string()).optional(),
  security_opt: z.array(z.string()).optional(),
  network_mode: z.string().optional(),
  logging: z.object({ driver: z.string(), options: z.record(z.string(), z.string()) }).optional(),
})

/** A service of the compose file. */
export type Service = z.infer<typeof Service>

const ComposeFile = z.object({
  name: z.string(),
  services: z.record(z.string(), Service),
  volumes: z.record(z.string(), z.null()),
})

/** deploy/compose.yaml, merges done, variables not yet replaced. @throws when it holds what these tests know nothing of */
export function readComposeFile(): z.infer<typeof ComposeFile> {
  const document = parseDocument(readFileSync(`${DEPLOY}compose.yaml`, "utf8"), { merge: true, strict: true })
  for (const problem of [...document.errors, ...document.warnings]) throw problem
  return ComposeFile.parse(document.toJS())
}

/** A text of the file where no variable is set: all of them have defaults. */
export function withDefaults(text: string): string {
  const replaced = text.replace(/\$\{[A-Z_]+:-([^}]*)\}/g, "$1")
  if (replaced.includes("$")) throw new Error(`"${text}" has a variable without a default`)
  return replaced
}
