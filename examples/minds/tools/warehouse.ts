import { defineTool } from "murmur"
import { z } from "zod"

/*
 * What the model may look up. A tool says what it is for, what it takes, and what calling it does to the world
 * (`effect`); these only read. In a real warehouse they would ask a database.
 */

const ARTICLES = new Map([
  ["bolt-m8", { shelf: 120, soldPerWeek: 340, supplier: "Schraubenwerk" }],
  ["hinge-40", { shelf: 15, soldPerWeek: 20, supplier: "Beschlag & Co" }],
])
const SUPPLIERS = new Map([
  ["Schraubenwerk", { weeksToDeliver: 2, pack: 500 }],
  ["Beschlag & Co", { weeksToDeliver: 4, pack: 24 }],
])

export const readStock = defineTool({
  name: "readStock",
  description: "Reads how many pieces of an article are on the shelf, and who supplies it",
  input: z.object({ article: z.string() }),
  effect: "read",
  run({ article }) {
    const found = ARTICLES.get(article)
    if (found === undefined) throw new Error(`There is no article "${article}"`)
    return { shelf: found.shelf, supplier: found.supplier }
  },
})

export const readSales = defineTool({
  name: "readSales",
  description: "Reads how many pieces of an article are sold in a week",
  input: z.object({ article: z.string() }),
  effect: "read",
  run: ({ article }) => ({ soldPerWeek: ARTICLES.get(article)?.soldPerWeek ?? 0 }),
})

export const readSupplier = defineTool({
  name: "readSupplier",
  description: "Reads how many weeks a supplier needs, and how many pieces are in a pack",
  input: z.object({ supplier: z.string() }),
  effect: "read",
  run({ supplier }) {
    const found = SUPPLIERS.get(supplier)
    if (found === undefined) throw new Error(`There is no supplier "${supplier}"`)
    return found
  },
})
