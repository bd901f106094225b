import type { Llm } from "../gateways/llm/llm.js"
import type { StepContext } from "./context.js"
import type { ModelTool, StepCalls } from "./step-calls.js"
import type { ToolFunctions } from "./tools/tool.js"

/** The journaled calls as every context shows them: that of a step, of one of its branches, of a step in a worker. */
export abstract class CallingContext {
  protected abstract get calls(): StepCalls

  get run(): StepContext["run"] {
    return this.calls.run
  }

  get outcome(): StepContext["outcome"] {
    return this.calls.outcome
  }

  get sleep(): StepContext["sleep"] {
    return this.calls.sleep
  }

  get ask(): StepContext["ask"] {
    return this.calls.ask
  }

  get delegate(): StepContext["delegate"] {
    return this.calls.delegate as StepContext["delegate"]
  }

  get gather(): StepContext["gather"] {
    return this.calls.gather as StepContext["gather"]
  }

  get handoff(): StepContext["handoff"] {
    return this.calls.handoff as StepContext["handoff"]
  }

  get reply(): StepContext["reply"] {
    return this.calls.reply
  }

  get tools(): ToolFunctions {
    return this.calls.tools
  }

  get llm(): Llm<ModelTool> {
    return this.calls.llm
  }
}
