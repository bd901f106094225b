import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
const globalSetup = here("./test/support/global-setup.ts")

export default defineConfig({
  resolve: {
    // Tests and examples import the public surface by the name that users write.
    alias: [{ find: /^murmur$/, replacement: here("./src/index.ts") }],
  },
  test: {
    // Each file gets a process of its own: a test may kill servers and open sockets without disturbing its neighbours.
    pool: "forks",
    maxWorkers: 2,
    // Tests that run side by side in a file do so to wait together: for takeovers, ack waits, timers.
    maxConcurrency: 10,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    teardownTimeout: 10_000,
    restoreMocks: true,
    unstubEnvs: true,
    reporters: [process.env.CI ? "dot" : "default", here("./test/support/summary-reporter.ts")],
    globalSetup: existsSync(globalSetup) ? [globalSetup] : [],
    projects: [
      { extends: true, test: { name: "unit", include: ["src/**/*.test.ts"] } },
      {
        extends: true,
        test: {
          name: "integration",
          include: ["test/**/*.test.ts"],
          exclude: ["test/docs-snippets.test.ts", "test/containers/**"],
        },
      },
      {
        extends: true,
        // Skipped unless scripts/containers.mjs starts them: it gives them an engine.
        test: {
          name: "containers",
          include: ["test/containers/**/*.test.ts"],
          testTimeout: 120_000,
          hookTimeout: 960_000,
        },
      },
      { extends: true, test: { name: "docs", include: ["test/docs-snippets.test.ts"] } },
    ],
    coverage: {
      provider: "v8",
      include: ["src/**/*.ts"],
      exclude: ["src/**/*.test.ts"],
      reporter: ["text-summary", "html", "lcovonly"],
    },
  },
})
