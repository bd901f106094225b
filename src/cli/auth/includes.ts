import { accountsConfig } from "../../node/rights/server-config.js"
import { type AuthFolder, INCLUDE, identitiesOf, type Records } from "./folder.js"

/** Writes what servers include, and with JWT the credentials of the users. @returns whether the include is another one now */
export async function writeInclude(folder: AuthFolder, records: Records): Promise<boolean> {
  const before = await folder.read(INCLUDE)
  const text =
    records.mode === "nkey"
      ? accountsConfig(identitiesOf(records))
      : await (await import("./signed.js")).signedConfig(folder, records)
  if (text === before) return false
  await folder.write(INCLUDE, text)
  return true
}
