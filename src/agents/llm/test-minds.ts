import type { Broker } from "../../gateways/broker/broker.js"
import { createBroker } from "../../gateways/broker/create-broker.js"
import type { ModelsDefinition } from "../../gateways/define-models.js"
import type { MindPorts } from "./ports.js"

/**
 * What an agent under test thinks with: the gateways that the test gives, and none of the environment.
 *
 * @param tell is given the run events
 */
export function testMinds(models: ModelsDefinition | undefined, tell: MindPorts["tell"]): MindPorts {
  let broker: Broker | undefined
  const { gateways = [], aliases, models: facts } = models ?? {}
  return {
    get broker() {
      broker ??= createBroker({
        gateways,
        ...(aliases !== undefined && { aliases }),
        ...(facts !== undefined && { models: facts }),
      })
      return broker
    },
    defaultModel: models?.default,
    tellContent: models?.tellContent ?? true,
    overridesOf: (agent) => models?.agents?.[agent],
    tell,
  }
}
