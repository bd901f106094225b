import { statSync } from "node:fs"
import { resolve } from "node:path"
import { MurmurError } from "../errors.js"
import { Loader } from "../node/loader.js"
import { VERSION } from "../node/version.js"
import { inBuildFolder } from "./build/build-folder.js"
import { dependenciesOf } from "./build/dependencies.js"
import { Docker } from "./build/docker.js"
import { dockerfileText } from "./build/dockerfile.js"
import type { Cli } from "./cli.js"

/** Options of `murmur build`. */
export interface BuildOptions {
  readonly tag: string
  readonly base?: string
  readonly network?: string
}

interface Names {
  readonly agents: string[]
  readonly sources: string[]
}

/**
 * `murmur build <dir> -t <image>`: puts the agents of a folder, and the packages that they need, into an image on top of
 * murmur's own. The agents must load here before, and in the image afterwards.
 */
export async function build({ options, out }: Cli, [dir]: [string], wanted: BuildOptions): Promise<void> {
  const folder = resolve(dir)
  const names = await load(folder, dir)
  const dependencies = dependenciesOf(folder)
  const docker = new Docker(out.terminal ? process.stderr : undefined)
  await docker.check()
  const base = wanted.base ?? `murmur:${VERSION}`
  if (wanted.base === undefined) await checkOwnImage(docker, base)
  const text = dockerfileText({ base, dependencies, codeVersion: versionOf(wanted.tag) })
  await inBuildFolder(folder, { text, dependencies }, (context) => docker.build(context, wanted))
  await checkInImage(docker, wanted.tag, names)
  if (options.json) return out.json({ image: wanted.tag, base, ...names })
  await out.line(`${wanted.tag}: ${[...names.agents, ...names.sources].join(", ")} on ${base}`)
  if (out.terminal) await out.line(`\nNext:\n  docker run -e NATS_URL=nats://<host>:4222 ${wanted.tag}`)
}

/** @throws MurmurError `BUILD_FOLDER`, `BUILD_EMPTY`, and what the loader throws */
async function load(folder: string, dir: string): Promise<Names> {
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) {
    throw new MurmurError(`Cannot build "${dir}": there is no such folder (looked at ${folder})`, {
      code: "BUILD_FOLDER",
      details: { folder },
    })
  }
  const { agents, sources } = await new Loader([folder]).load()
  if (agents.length + sources.length === 0) {
    throw new MurmurError(
      `Cannot build "${dir}": none of its files exports an agent or a source (defineAgent, defineSource)`,
      { code: "BUILD_EMPTY", details: { folder } },
    )
  }
  return { agents: agents.map(({ name }) => name), sources: sources.map(({ name }) => name) }
}

/** @throws MurmurError `BUILD_BASE` when murmur's own image is not there: no registry has it */
async function checkOwnImage(docker: Docker, base: string): Promise<void> {
  if (await docker.has(base)) return
  throw new MurmurError(
    `Cannot build: this Docker engine has no image "${base}" of murmur. Build it once in a checkout of murmur, by "docker build -f deploy/Dockerfile -t ${base} .", or name yours with --base`,
    { code: "BUILD_BASE", details: { base } },
  )
}

/**
 * What loads here may not load there: a package that was found in a folder above, or a file that is not in the folder.
 *
 * @throws MurmurError `BUILD_CHECK`
 */
async function checkInImage(docker: Docker, image: string, here: Names): Promise<void> {
  const { code, stdout, stderr } = await docker.loadAgents(image)
  const there = code === 0 ? (JSON.parse(stdout) as Names) : undefined
  if (there !== undefined && JSON.stringify(there) === JSON.stringify(here)) return
  const why =
    there === undefined ? stderr.trim() : `they are ${[...there.agents, ...there.sources].join(", ") || "none"}`
  throw new MurmurError(`The image "${image}" is built, but its agents are not those of the folder: ${why}`, {
    code: "BUILD_CHECK",
    details: { image },
  })
}

/** The tag itself, when it says something: nodes show it as the version of their agents. */
function versionOf(image: string): string | undefined {
  const tag = /:([\w.-]+)$/.exec(image)?.[1]
  return tag === "latest" ? undefined : tag
}
