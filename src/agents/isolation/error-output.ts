/** Where V8 begins to tell of its own end: a page of addresses that helps nobody who reads a log. */
const REPORT = /^(<--- Last few GCs|FATAL ERROR:|# Fatal)/m
const REPORT_CHARS_MAX = 8 * 1024

/** What a worker writes to standard error: passed on as it comes, but for the report of a process that runs out of memory. */
export class ErrorOutput {
  #report = ""

  constructor(private readonly out: { write(text: string): unknown }) {}

  /** V8's last words, cut; empty when there were none. */
  get report(): string {
    return this.#report
  }

  take(chunk: Uint8Array): void {
    const text = Buffer.from(chunk).toString()
    const at = this.#report === "" ? text.search(REPORT) : 0
    const passed = at === -1 ? text : text.slice(0, at)
    if (passed.trim() !== "") this.out.write(passed)
    if (at !== -1) this.#report = (this.#report + text.slice(at)).slice(0, REPORT_CHARS_MAX)
  }
}
