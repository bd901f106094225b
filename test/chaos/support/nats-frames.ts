/** One message of the NATS protocol, as it went over the wire. */
export interface Frame {
  readonly from: "client" | "server"
  /** `PUB`, `HPUB`, `MSG`, `HMSG`, `PING`, ... */
  readonly verb: string
  /** Of `PUB`, `HPUB`, `MSG` and `HMSG`; empty of all others. */
  readonly subject: string
  /** All of it, line and payload. */
  readonly bytes: Buffer
}

const LINE_END = "\r\n"
const CARRIES_PAYLOAD = new Set(["PUB", "HPUB", "MSG", "HMSG"])

/** Cuts a byte stream into frames. Holds back what is not whole yet. */
export class FrameCutter {
  #rest: Buffer = Buffer.alloc(0)

  constructor(private readonly from: Frame["from"]) {}

  /** The frames that are whole with this chunk, in order. */
  cut(chunk: Buffer): Frame[] {
    const data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    const frames: Frame[] = []
    let at = 0
    for (;;) {
      const frame = this.#next(data, at)
      if (frame === undefined) break
      frames.push(frame)
      at += frame.bytes.length
    }
    this.#rest = data.subarray(at)
    return frames
  }

  #next(data: Buffer, at: number): Frame | undefined {
    const lineEnd = data.indexOf(LINE_END, at)
    if (lineEnd === -1) return undefined
    const tokens = data.toString("latin1", at, lineEnd).split(" ")
    const verb = tokens[0]?.toUpperCase() ?? ""
    const carries = CARRIES_PAYLOAD.has(verb)
    const payload = carries ? Number(tokens.at(-1)) + LINE_END.length : 0
    const end = lineEnd + LINE_END.length + payload
    if (end > data.length) return undefined
    return { from: this.from, verb, subject: carries ? (tokens[1] ?? "") : "", bytes: data.subarray(at, end) }
  }
}

/** Whether a frame is the server's answer to a publish into a stream of this name: stored, or a repeat. */
export function isPublishAck(frame: Frame, stream: string): boolean {
  return frame.from === "server" && frame.bytes.includes(`{"stream":"${stream}","seq":`)
}

/** The stream sequence of the message that a frame delivers to a pulling client; `undefined` where it delivers none. */
export function deliveredSeq(frame: Frame): number | undefined {
  if (frame.from !== "server" || (frame.verb !== "HMSG" && frame.verb !== "MSG")) return undefined
  const reply = frame.bytes.toString("latin1", 0, frame.bytes.indexOf(LINE_END)).split(" ")[3] ?? ""
  if (!reply.startsWith("$JS.ACK.")) return undefined
  const tokens = reply.split(".")
  // with or without domain and account before the stream's name
  return Number(tokens.length > 9 ? tokens[7] : tokens[5])
}

/** Whether a frame is a client's ack of a delivery, of whatever kind. */
export function isDeliveryAck(frame: Frame): boolean {
  return frame.from === "client" && frame.subject.startsWith("$JS.ACK.")
}
