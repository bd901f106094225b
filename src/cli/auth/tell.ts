import type { Cli } from "../cli.js"
import type { AuthFolder } from "./folder.js"

/** What a command has done to files. */
export interface Told {
  /** All that matter, by their names in the folder. */
  readonly files: readonly string[]
  readonly changed: ReadonlySet<string>
  /** What is to be done next. */
  readonly hint?: string | undefined
  /** Further members of the JSON. */
  readonly more?: object
}

/** Says which files were written and which were left as they were; never what is in them. */
export async function tell(cli: Cli, folder: AuthFolder, { files, changed, hint, more }: Told): Promise<void> {
  const rows = files.map((file) => ({ file: folder.file(file), action: changed.has(file) ? "written" : "kept" }))
  if (cli.options.json) return cli.out.json({ dir: folder.path, files: rows, ...more, ...(hint && { next: hint }) })
  await cli.out.table(
    ["file", ""],
    rows.map(({ file, action }) => [file, action]),
  )
  if (hint !== undefined && cli.out.terminal) await cli.out.line(`\nNext: ${hint}.`)
}
