import { expectTypeOf, test } from "vitest"
import { z } from "zod"
import { defineEvent } from "../../bus/define-event.js"
import { defineAgent } from "../define-agent.js"
import type { HttpReply } from "./fetcher.js"
import { getArtifact, httpFetch, putArtifact, readFile, resolveDate, shell, taskList, writeFile } from "./index.js"

const Seen = defineEvent("a.seen", z.object({ n: z.number() }))

test("a handler calls the built-in tools under their names, or under those that it has given them", () => {
  defineAgent("typed", {
    on: [Seen],
    tools: [
      httpFetch({ allow: ["a.example"] }),
      httpFetch({ name: "ask", allow: ["b.example"] }),
      readFile({ root: "." }),
      writeFile({ root: "." }),
      shell({ allow: ["git"], cwd: "." }),
      resolveDate(),
      taskList(),
      putArtifact(),
      getArtifact({ name: "look" }),
    ],
    handle(_, { tools }) {
      expectTypeOf(tools.httpFetch).returns.resolves.toEqualTypeOf<HttpReply>()
      expectTypeOf(tools.ask).returns.resolves.toEqualTypeOf<HttpReply>()
      expectTypeOf(tools.look).parameter(0).toEqualTypeOf<{ id: string; offset?: number | undefined }>()
      expectTypeOf(tools.shell).parameter(0).toEqualTypeOf<{ program: string; args?: string[] | undefined }>()
      expectTypeOf<keyof typeof tools>().toEqualTypeOf<
        "httpFetch" | "ask" | "readFile" | "writeFile" | "shell" | "resolveDate" | "taskList" | "putArtifact" | "look"
      >()
    },
  })
})
