import type { ServerProgress } from "../bus/server/index.js"

const MEBI = 1024 * 1024

/** Shows on a terminal how a server is found, fetched and started; elsewhere one line for each phase. */
export function progressPrinter(out: NodeJS.WriteStream): { show(progress: ServerProgress): void; done(): void } {
  let last = ""
  const write = (text: string): void => {
    if (out.isTTY) out.write(`\r\u001b[K${text}`)
    else out.write(`${text}\n`)
  }
  return {
    show(progress) {
      const { phase, detail, receivedBytes, totalBytes } = progress
      const size =
        receivedBytes === undefined
          ? ""
          : ` ${(receivedBytes / MEBI).toFixed(1)}${totalBytes ? ` of ${(totalBytes / MEBI).toFixed(1)}` : ""} MiB`
      const text = `${phase} ${detail}${out.isTTY ? size : ""}`
      if (text === last) return
      last = text
      write(text)
    },
    done() {
      if (out.isTTY && last !== "") out.write("\r\u001b[K")
    },
  }
}
