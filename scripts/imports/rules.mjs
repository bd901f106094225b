import { posix } from "node:path"

/**
 * Which folder of src may import which others, besides itself:
 * cli, http -> node -> sources, agents -> router -> bus; agents -> gateways.
 * The command line starts the HTTP side of a node, so it stands above http.
 */
const BELOW_NODE = ["sources", "agents", "router", "bus", "gateways"]
const MAY_IMPORT = {
  bus: [],
  router: ["bus"],
  gateways: [],
  agents: ["router", "bus", "gateways"],
  sources: ["router", "bus"],
  node: BELOW_NODE,
  http: ["node", ...BELOW_NODE],
  cli: ["http", "node", ...BELOW_NODE],
  telemetry: [],
}

/** The public surface, and what the loader hands to agent files. They may import all of src. */
const SURFACE = ["index.ts", "supplied.ts"]

/** What everyone may import. */
const EVERYONE = ["src/errors.ts", "src/telemetry/ports.ts", "src/telemetry/redact.ts"]
/** Who may import the rest of telemetry: the set-up, the log, the exporters. */
const SETS_TELEMETRY_UP = ["node", "http", "cli"]

/** Packages that have one home in src. A name that ends in "/" stands for a whole scope. */
const NATS = { packages: ["@nats-io/"], home: [/^src\/bus\//], says: "only src/bus talks to NATS" }
const RXJS = {
  packages: ["rxjs"],
  home: [
    /^src\/agents\/react[^/]*\.ts$/,
    /^src\/agents\/windows\//,
    /^src\/bus\/observe[^/]*\.ts$/,
    /^src\/(index|supplied)\.ts$/,
  ],
  says: "RxJS stays in src/agents/react*.ts, src/agents/windows/ and src/bus/observe*.ts",
}
const VENDORS = {
  packages: ["openai", "ollama", "@anthropic-ai/", "@google/genai", "@modelcontextprotocol/"],
  home: [/^src\/gateways\//],
  says: "a vendor's SDK stays behind its gateway in src/gateways",
}
const TELEMETRY = {
  packages: ["@opentelemetry/", "pino", "pino-pretty"],
  home: [/^src\/telemetry\//],
  says: "everyone else uses src/telemetry/ports.ts, so that telemetry costs nothing when it is off",
}
const HOMES = [NATS, RXJS, VENDORS, TELEMETRY]

/** Tests and benchmarks may reach in; examples are what users write. */
function kindOf(file) {
  if (file.startsWith("examples/")) return "example"
  if (file.endsWith(".test.ts") || !file.startsWith("src/")) return "test"
  return "source"
}

/** Whether `file` takes part in the search for cycles. */
export const isSource = (file) => kindOf(file) === "source"

/** The file that a relative import means, from the root of the repository; `undefined` for packages. */
export function resolveImport(file, specifier) {
  if (specifier === "murmur") return "src/index.ts"
  if (!specifier.startsWith(".")) return undefined
  return posix.join(posix.dirname(file), specifier).replace(/\.(m?)js$/, ".$1ts")
}

/**
 * Why `file` must not import `specifier`; `undefined` when it may.
 *
 * @param {string} file path from the root of the repository, with `/`
 * @param {import("./read-imports.mjs").Import} found
 * @returns {string | undefined}
 */
export function reasonAgainst(file, { specifier, typeOnly }) {
  const kind = kindOf(file)
  if (kind === "test") return undefined
  const target = resolveImport(file, specifier)
  if (kind === "example") return target === undefined ? againstInExample(specifier) : againstFileInExample(target)
  return target === undefined ? againstPackage(file, specifier) : againstFile(file, target, typeOnly)
}

function againstPackage(file, specifier) {
  const rule = HOMES.find(({ packages }) => packages.some((name) => isOf(specifier, name)))
  if (rule === undefined || rule.home.some((path) => path.test(file))) return undefined
  return rule.says
}

/** Whether a specifier means a package or something inside of it, such as `rxjs/operators`. */
const isOf = (specifier, name) => specifier === name || specifier.startsWith(name.endsWith("/") ? name : `${name}/`)

function againstInExample(specifier) {
  if (specifier.startsWith("murmur/")) return 'examples import "murmur" itself, nothing inside of it'
  const below = [...NATS.packages, ...VENDORS.packages].some((name) => isOf(specifier, name))
  return below ? 'examples use what "murmur" offers, not what is below it' : undefined
}

function againstFileInExample(target) {
  if (target === "src/index.ts" || target.startsWith("examples/")) return undefined
  return 'examples import only "murmur" and their own files'
}

function againstFile(file, target, typeOnly) {
  const from = areaOf(file)
  const to = areaOf(target)
  if (from === undefined)
    return `${file} has no place among the arrows: move it into a folder, or add that to scripts/imports/rules.mjs`
  if (to === undefined) return "src imports only from the folders of src"
  if (target.endsWith(".test.ts")) return "what ships imports no test"
  if (SURFACE.includes(from)) return undefined
  if (target === "src/supplied.ts" && file === "src/node/loader.ts") return undefined
  if (SURFACE.includes(to)) return "the public surface is for users; import the file that has what you need"
  if (EVERYONE.includes(target) && from !== "errors.ts") return undefined
  if (from === to) return undefined
  if (from === "errors.ts") return "src/errors.ts stands below everything and imports nothing of ours"
  if (to === "telemetry") {
    if (SETS_TELEMETRY_UP.includes(from)) return undefined
    return `only ${SETS_TELEMETRY_UP.join(", ")} set telemetry up; the others use src/telemetry/ports.ts`
  }
  if (from === "telemetry")
    return typeOnly && to === "bus" ? undefined : "src/telemetry imports nothing of ours but types of src/bus"
  if (MAY_IMPORT[from].includes(to)) return undefined
  return `src/${from} may import ${MAY_IMPORT[from].map((name) => `src/${name}`).join(", ") || "no other folder"}`
}

/** The folder of src that a file belongs to, or its name when it lies in src itself; `undefined` when it has no place. */
function areaOf(file) {
  const [top, area] = file.split("/")
  if (top !== "src") return undefined
  return SURFACE.includes(area) || area === "errors.ts" || Object.hasOwn(MAY_IMPORT, area) ? area : undefined
}
