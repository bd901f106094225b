import { afterEach, describe } from "vitest"
import { describeAnswers } from "./suite-answers.js"
import { describeFaults } from "./suite-faults.js"
import { describeOffers } from "./suite-offers.js"
import type { Can, Open, Opened, Suite } from "./suite-seam.js"
import { describeStreams } from "./suite-streams.js"
import { describeTools } from "./suite-tools.js"

/** The one suite that every gateway passes. */
export function describeGateway(name: string, open: Open, { can = {} }: { readonly can?: Can } = {}): void {
  const opened: Opened[] = []
  const suite: Suite = {
    async open(options) {
      const pair = await open(options)
      opened.push(pair)
      return pair
    },
    can: (what) => can[what] ?? true,
  }
  describe(`the gateway ${name}`, () => {
    afterEach(async () => {
      for (const { server } of opened.splice(0)) await server.close()
    })
    describeAnswers(suite)
    describeTools(suite)
    describeStreams(suite)
    describeOffers(suite)
    describeFaults(suite)
  })
}
