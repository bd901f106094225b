import type { Dependencies } from "./dependencies.js"

/** What goes into the image of some agents. */
export interface ImageFacts {
  /** The image of murmur. */
  readonly base: string
  readonly dependencies: Dependencies | undefined
  /** What nodes show as the version of their agents. */
  readonly codeVersion: string | undefined
}

/**
 * The Dockerfile of an image with agents. Their packages lie in /app/node_modules, where agents in /app/agents find them,
 * and murmur as well: it lies in /app/node_modules/murmur, and imports the SDKs of some providers only when they are there.
 */
export function dockerfileText({ base, dependencies, codeVersion }: ImageFacts): string {
  const install = ["npm", ...(dependencies?.lock === undefined ? ["install", "--no-package-lock"] : ["ci"])]
  const flags = ["--omit=dev", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
  const lines = [
    ...(dependencies === undefined
      ? [`FROM ${base}`]
      : [
          `FROM ${base} AS install`,
          "USER 0",
          "WORKDIR /install",
          "COPY package ./",
          `RUN ${JSON.stringify([...install, ...flags])}`,
          `FROM ${base}`,
          "COPY --from=install /install/node_modules /app/node_modules",
        ]),
    "COPY agents /app/agents",
    ...(codeVersion === undefined ? [] : [`ENV MURMUR_CODE_VERSION=${codeVersion}`]),
  ]
  return `${lines.join("\n")}\n`
}
