import { writeFileSync } from "node:fs"
import type { SerializedError } from "vitest"
import type { Reporter, TestModule } from "vitest/node"

/** What a run of the tests came to. */
export interface Summary {
  passed: number
  failed: number
  skipped: number
}

/**
 * Counts a finished run. A file that could not be loaded and an error outside of every test count as one failure
 * each, so that a run which did not succeed never says "0 failed".
 */
export function summarise(modules: readonly TestModule[], unhandled: readonly SerializedError[]): Summary {
  const summary: Summary = { passed: 0, failed: unhandled.length, skipped: 0 }
  for (const module of modules) {
    const failedBefore = summary.failed
    for (const test of module.children.allTests()) {
      const { state } = test.result()
      if (state === "passed") summary.passed += 1
      else if (state === "skipped") summary.skipped += 1
      else summary.failed += 1
    }
    if (!module.ok() && summary.failed === failedBefore) summary.failed += 1
  }
  return summary
}

/** The one line that CI ends with. */
export function summaryLine({ passed, failed, skipped }: Summary): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`
}

/**
 * Says how the run ended, as one plain line. With `MURMUR_TEST_SUMMARY` set it writes the line to that file instead,
 * for whoever wants to print it last.
 */
export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const line = summaryLine(summarise(modules, unhandled))
    const file = process.env.MURMUR_TEST_SUMMARY
    if (file) writeFileSync(file, `${line}\n`)
    else process.stdout.write(`\n${line}\n`)
  }
}
