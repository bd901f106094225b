import type { Cli } from "./cli.js"
import { readSetup } from "./models/setup.js"
import { type ModelView, type ProviderView, type Survey, survey } from "./models/survey.js"
import { warn } from "./output.js"
import { counted, printable } from "./text.js"

const HEADINGS = ["model", "can", "window", "price", "known as", "agents", "answers", "why"]

/** `murmur models [ls] [paths...]`: the models that these files and this environment give, and whether they answer. */
export async function modelsLs(cli: Cli, [paths]: [string[]], { all = false }: { all?: boolean }): Promise<void> {
  const found = await survey(await readSetup(paths), { all })
  for (const { where, message } of found.bad) warn(`${where}: ${message}`)
  if (cli.options.json) return cli.out.json(found)
  const rows = rowsOf(found)
  if (!cli.out.terminal) return cli.out.table(HEADINGS, rows)
  // a table there is cut to the width: what is wrong stands below, whole
  await cli.out.table(
    HEADINGS.slice(0, -1),
    rows.map((row) => row.slice(0, -1)),
  )
  await explain(cli, found)
}

function rowsOf({ providers, models, default: chain }: Survey): (string | number)[][] {
  const idle = providers.filter(({ provider }) => !models.some((model) => model.provider === provider))
  return [...models.map((model) => modelRow(model, chain)), ...idle.map(providerRow)]
}

function modelRow(model: ModelView, chain: Survey["default"]): (string | number)[] {
  const { name, contextTokens, state, agents, why } = model
  const can = (["tools", "images", "schema"] as const).filter((fact) => model[fact])
  return [
    name,
    can.join(",") || "-",
    contextTokens,
    priceText(model.price),
    knownAs(model, chain) || "-",
    agents.join(",") || "-",
    state === "ready" ? "yes" : state,
    why ?? "-",
  ]
}

/** Of a provider that is there, and that nobody names. */
function providerRow({ provider, answers, models, why }: ProviderView): string[] {
  const has = models === null ? "yes" : `yes, ${counted(models, "model")} (--all)`
  return [`${provider}/*`, "-", "-", "-", "-", "-", answers ? has : "no-answer", why ?? "-"]
}

/** The default, and aliases; where one stands for several models, which place this one has. */
function knownAs({ name: model, default: isDefault, aliases }: ModelView, chain: Survey["default"]): string {
  const places = isDefault ? [{ name: "default", at: chain.indexOf(model) + 1, of: chain.length }, ...aliases] : aliases
  return places.map(({ name, at, of }) => (of === 1 ? name : `${name} ${at}/${of}`)).join(",")
}

/** In dollars for a million tokens: input, output. */
function priceText(price: ModelView["price"]): string {
  if (price === null) return "unknown"
  if (price.inputUsd === 0 && price.outputUsd === 0) return "free"
  return `$${price.inputUsd} in, $${price.outputUsd} out`
}

/** What is wrong, and what to do. */
async function explain({ out }: Cli, { providers, models }: Survey): Promise<void> {
  const troubled = [
    ...providers.map(({ provider, ...view }) => ({ name: provider, ...view })),
    ...models.filter(({ state }) => state !== "no-answer"),
  ]
  for (const { name, why, fix } of troubled) {
    if (why !== null)
      await out.line(out.paint("dim", printable(`${name}: ${why}${fix === null ? "" : `; fix: ${fix}`}`)))
  }
}
