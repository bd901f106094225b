import { once } from "node:events"
import { type AddressInfo, connect, createServer, type Socket } from "node:net"
import { type Frame, FrameCutter } from "./nats-frames.js"

/** What becomes of a frame: it goes on, it is swallowed, or the connection breaks in its place. */
export type Verdict = "pass" | "swallow" | "break"

/** Decides on each frame. Called in order, for both directions. */
export type Judge = (frame: Frame) => Verdict

/** Stands between clients and a server, and does to their frames what a test wants. */
export interface NatsProxy {
  readonly url: string
  /** How many clients are connected at this moment. */
  readonly connections: number
  /** From now on frames are judged by this; `undefined`: all pass. */
  judge(by: Judge | undefined): void
  /** Breaks all connections, without a goodbye. @returns how many */
  breakAll(): number
  /** Refuses new connections, and breaks those that there are, until called with `false`. */
  refuse(refusing: boolean): void
  close(): Promise<void>
}

/** Starts a proxy for the server on a port of this machine. Whoever starts it closes it. */
export async function startNatsProxy(serverPort: number, by?: Judge): Promise<NatsProxy> {
  const pairs = new Set<Pair>()
  let judge = by
  let refusing = false
  const server = createServer((client) => {
    if (refusing) {
      client.resetAndDestroy()
      return
    }
    const pair = new Pair(client, serverPort, (frame) => judge?.(frame) ?? "pass")
    pairs.add(pair)
    client.once("close", () => pairs.delete(pair))
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const breakAll = (): number => {
    const broken = pairs.size
    for (const pair of pairs) pair.break()
    pairs.clear() // each is told of its end only later
    return broken
  }
  return {
    url: `nats://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get connections() {
      return pairs.size
    },
    judge: (next) => {
      judge = next
    },
    breakAll,
    refuse: (now) => {
      refusing = now
      if (now) breakAll()
    },
    close: async () => {
      breakAll()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

/** One client's connection and its counterpart to the server. */
class Pair {
  readonly #server: Socket

  constructor(
    private readonly client: Socket,
    serverPort: number,
    private readonly judge: Judge,
  ) {
    this.#server = connect({ host: "127.0.0.1", port: serverPort, noDelay: true })
    client.setNoDelay(true)
    this.#pipe(client, this.#server, new FrameCutter("client"))
    this.#pipe(this.#server, client, new FrameCutter("server"))
  }

  break(): void {
    for (const socket of [this.client, this.#server]) if (!socket.destroyed) socket.resetAndDestroy()
  }

  #pipe(from: Socket, to: Socket, cutter: FrameCutter): void {
    from.on("data", (chunk) => {
      if (to.destroyed) return
      to.cork()
      const goesOn = cutter.cut(chunk).every((frame) => this.#pass(frame, to))
      to.uncork()
      if (!goesOn) this.break()
      else if (to.writableNeedDrain) {
        from.pause()
        to.once("drain", () => from.resume())
      }
    })
    from.once("end", () => to.end())
    from.once("close", () => this.break())
    from.on("error", () => this.break())
  }

  /** @returns whether the connection is to go on */
  #pass(frame: Frame, to: Socket): boolean {
    const verdict = this.judge(frame)
    if (verdict === "pass") to.write(frame.bytes)
    return verdict !== "break"
  }
}
