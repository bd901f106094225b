import { z } from "zod"
import { HeaderValues, ProviderName, TimerMs } from "../http/gateway-options.js"

/** How a gateway to Ollama is made. */
export const OllamaOptions = z.strictObject({
  /** Where the server is: `host`, `host:port` or a URL. Default `OLLAMA_HOST`, else `http://127.0.0.1:11434`. */
  host: z.string().min(1).optional(),
  /** Sent with each request, for a server behind a proxy that wants to know who asks. */
  headers: HeaderValues.optional(),
  /**
   * How long the server keeps a model in memory after a request: a duration (`"10m"`), or seconds; below 0 for ever, 0 not
   * at all. Default: the server's, 5 minutes.
   */
  keepAlive: z.union([z.string().regex(/^-?(\d+(\.\d+)?(ns|us|ms|s|m|h))+$|^-1$|^0$/), z.number()]).optional(),
  /** The first part of its models' names. Default `ollama`; give another name to a second server. */
  provider: ProviderName.optional(),
  /** How long an answer that has begun may stop coming, in milliseconds. Default 30_000. */
  idleTimeoutMs: TimerMs.optional(),
  /**
   * From where images with an address are fetched: Ollama takes only bytes. `public` leaves out one's own machine and
   * private networks, since an address may have come with an event. Default `public`.
   */
  imagesFrom: z.enum(["public", "anywhere"]).optional(),
})
export type OllamaOptions = z.input<typeof OllamaOptions>
