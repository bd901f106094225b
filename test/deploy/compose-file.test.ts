import { existsSync, readFileSync } from "node:fs"
import { resolve } from "node:path"
import { describe, expect, it } from "vitest"
import { SERVER_FLOOR } from "../../src/bus/connection.js"
import { VERSION } from "../../src/node/version.js"
import { DEPLOY, readComposeFile, type Service, withDefaults } from "./support/compose-file.js"

const { services, volumes } = readComposeFile()
const all = Object.entries(services)
const serviceOf = (name: string): Service => {
  const service = services[name]
  if (service === undefined) throw new Error(`there is no service "${name}"`)
  return service
}

/** `from:to[:mode]` with variables replaced. */
function mountsOf(service: Service): { from: string; to: string; readOnly: boolean }[] {
  return service.volumes.map((text) => {
    const [from = "", to = "", mode] = withDefaults(text).split(":")
    return { from, to, readOnly: mode === "ro" }
  })
}

const isFolder = (from: string): boolean => from.startsWith(".")
const ONE_SHOT = ["setup", "deploy", "murmur"]

it("every image is pinned to a version", () => {
  for (const [name, { image }] of all) expect(withDefaults(image), name).toMatch(/^[\w./-]+:v?\d+\.\d+\.\d+[\w.-]*$/)
})

it("the images are those that the project was made for", () => {
  const version = /^nats:(\d+)\.(\d+)\.\d+-alpine$/
    .exec(withDefaults(serviceOf("nats-1").image))
    ?.slice(1)
    .map(Number)
  const floor = SERVER_FLOOR.split(".").map(Number)
  expect(version?.[0]).toBe(floor[0])
  expect(version?.[1]).toBeGreaterThanOrEqual(floor[1] ?? Number.POSITIVE_INFINITY)
  expect(withDefaults(serviceOf("setup").image)).toBe(`murmur:${VERSION}`)
  const base = /^ARG NODE_IMAGE=(.+)$/m.exec(readFileSync(`${DEPLOY}Dockerfile`, "utf8"))?.[1]
  expect(withDefaults(serviceOf("setup").build?.args.NODE_IMAGE ?? "")).toBe(base)
})

it("our own image is built once, by one recipe, and never looked for in a registry", () => {
  const ours = all.filter(([, { image }]) => image === serviceOf("setup").image)
  expect(ours.map(([name]) => name).sort()).toEqual(["deploy", "gateway", "murmur", "node", "setup"])
  expect(all.filter(([, { build }]) => build !== undefined).map(([name]) => name)).toEqual(["setup"])
  for (const [name, { pull_policy }] of ours) expect(pull_policy, name).toBe("never")
})

it("only this machine reaches what is published, and no port of a node that may be one of many is", () => {
  const published = all.flatMap(([name, { ports }]) => ports.map((port) => `${name} ${withDefaults(port)}`))
  for (const port of published) expect(port).toMatch(/^[\w-]+ 127\.0\.0\.1:\d+:\d+$/)
  const publishing = all.filter(([, { ports }]) => ports.length > 0).map(([name]) => name)
  expect(publishing.sort()).toEqual(["gateway", "grafana", "jaeger", "nats-1", "prometheus"])
})

it("no secret is in it or in an environment: services are told in which files theirs are", () => {
  for (const [name, { environment }] of all) {
    for (const [variable, value] of Object.entries(environment)) {
      const secret = /_(?:KEY|TOKEN|SECRET|PASSWORD|NKEY|CREDS)$/.test(variable)
      expect(secret && !value.startsWith("/run/"), `${name}: ${variable}`).toBe(false)
    }
  }
  expect(readFileSync(`${DEPLOY}compose.yaml`, "utf8")).not.toMatch(/\bS[UAO][A-Z2-7]{56}\b|BEGIN|eyJ/)
})

describe.each(all)("%s", (name, service) => {
  it("can write into its own volumes and nowhere else, and gains no rights", () => {
    expect(service).toMatchObject({
      read_only: true,
      cap_drop: ["ALL"],
      security_opt: ["no-new-privileges:true"],
    })
    expect(service.cap_add ?? []).toEqual(name === "setup" ? ["CHOWN"] : [])
    for (const { from, readOnly } of mountsOf(service)) {
      if (isFolder(from)) expect(readOnly, from).toBe(true)
    }
  })

  it("is given files that are there, at places that are no others'", () => {
    const mounts = mountsOf(service)
    for (const { from } of mounts) {
      if (isFolder(from)) expect(existsSync(resolve(DEPLOY, from)), from).toBe(true)
      else expect(Object.keys(volumes)).toContain(from)
    }
    expect(new Set(mounts.map(({ to }) => to)).size).toBe(mounts.length)
  })

  it("runs again after a failure or a restart, unless it runs once; its log is bounded", () => {
    expect(service.restart).toBe(ONE_SHOT.includes(name) ? undefined : "unless-stopped")
    expect(service.logging?.options).toEqual({ "max-size": "10m", "max-file": "3" })
  })

  it("waits for services that there are", () => {
    for (const other of Object.keys(service.depends_on)) {
      expect(serviceOf(other).profiles, `${other} is there whenever ${name} is`).toEqual([])
    }
  })
})

it("a service sees its own keys: all of them are where they are made, and nowhere else", () => {
  const owners: Record<string, string[]> = {
    auth: [],
    "nats-auth": ["nats-1", "nats-2", "nats-3"],
    "deployer-auth": ["deploy"],
    "operator-auth": ["murmur"],
    "gateway-auth": ["gateway"],
    "node-auth": ["node"],
  }
  for (const [volume, expected] of Object.entries(owners)) {
    const users = all.filter(([, service]) => mountsOf(service).some(({ from }) => from === volume))
    expect(users.map(([name]) => name).sort(), volume).toEqual([...expected, "setup"].sort())
    for (const [name, service] of users) {
      if (name === "setup") continue
      expect(mountsOf(service).find(({ from }) => from === volume)?.readOnly, `${volume} of ${name}`).toBe(true)
    }
  }
})

it("the servers differ by name and data alone", () => {
  const [first, ...others] = ["nats-1", "nats-2", "nats-3"].map((name) => ({ name, ...serviceOf(name) }))
  for (const other of others) {
    const as = (text: string): string => text.replaceAll(other.name, "nats-1")
    expect({ ...JSON.parse(as(JSON.stringify(other))), ports: first?.ports }).toEqual(first)
  }
  expect(serviceOf("deploy").command).toEqual(expect.arrayContaining(["--replicas", "3"]))
})

it("what is to be read of a profile is in it: without one, there is what the README starts", () => {
  const standard = all.filter(([, { profiles }]) => profiles.length === 0).map(([name]) => name)
  expect(standard.sort()).toEqual(["deploy", "gateway", "jaeger", "nats-1", "nats-2", "nats-3", "node", "setup"])
})

it("a node is given more time to end than it takes for itself", () => {
  for (const name of ["gateway", "node"]) {
    expect(Number(serviceOf(name).stop_grace_period?.replace("s", ""))).toBeGreaterThan(25)
  }
})

it("the servers write before they ack, take encrypted connections alone, and tell their state inside only", () => {
  const conf = readFileSync(`${DEPLOY}compose/nats.conf`, "utf8")
  expect(conf).toMatch(/^ {2}sync_interval: always$/m)
  expect(conf).toMatch(/^include auth\/auth\.conf$/m)
  expect(conf.match(/^ *tls \{$/gm)).toHaveLength(2)
  expect(conf).toMatch(/^ {4}verify: true$/m)
  expect(conf).not.toMatch(/allow_non_tls|insecure|no_auth_user/)
  for (const [name, { ports }] of all) {
    for (const port of ports) expect(port, name).not.toMatch(/:(?:8222|6222)$/)
  }
})

describe.each(["docs/compose.md", "README.md"])("%s", (page) => {
  const text = readFileSync(resolve(DEPLOY, "..", page), "utf8")
  const commands = [...text.matchAll(/docker compose (?:-f \S+ )*(?:--profile \S+ )?([a-z]+)([^\n`]*)/g)]

  it("names services, ports and variables that there are", () => {
    expect(commands.length).toBeGreaterThan(2)
    for (const [whole, command, args = ""] of commands) {
      const named = args
        .split(/\s+/)
        .filter((word) => /^(?:nats-\d|setup|deploy|gateway|node|jaeger|murmur|ollama)\b(?!\/)/.test(word))
      for (const word of named) expect(Object.keys(services), whole).toContain(word.split(/[:=]/)[0])
      if (command === "run" || command === "exec" || command === "cp") expect(named.length, whole).toBeGreaterThan(0)
    }
    const file = readFileSync(`${DEPLOY}compose.yaml`, "utf8")
    for (const [, port] of text.matchAll(/127\.0\.0\.1:(\d+)/g)) expect(file, `port ${port}`).toContain(`:-${port}}:`)
    for (const [name] of text.matchAll(/\b(?:\w+_PORT|\w+_IMAGE|MURMUR_\w+_(?:AGENTS|DIR))\b/g))
      expect(file).toContain(name)
  })
})
