import { ensureError, errorCode, TerminalError } from "../../errors.js"

/** Loads a vendor's SDK. */
export type LoadSdk<T> = () => Promise<T>

/**
 * An SDK that is installed only by those who use it, loaded once, by the first call.
 *
 * @param gateway for messages
 * @param name of the package
 * @throws when called: TerminalError `LLM_GATEWAY` when it is not installed, with the command that does it
 */
export function optionalPeer<T>(gateway: string, name: string, load: LoadSdk<T>): LoadSdk<T> {
  let loaded: Promise<T> | undefined
  return () => {
    loaded ??= load().catch((thrown: unknown) => {
      // Whoever installs it need not start again.
      loaded = undefined
      throw loadError(gateway, name, thrown)
    })
    return loaded
  }
}

function loadError(gateway: string, name: string, thrown: unknown): TerminalError {
  const missing = ["ERR_MODULE_NOT_FOUND", "MODULE_NOT_FOUND"].includes(errorCode(thrown))
  const { message } = ensureError(thrown)
  const why =
    missing && message.includes(name)
      ? `the package "${name}" is not installed; run: npm install ${name}`
      : `the package "${name}" cannot be loaded: ${message}`
  return new TerminalError(`Cannot use the gateway "${gateway}": ${why}`, {
    code: "LLM_GATEWAY",
    cause: thrown,
    details: { gateway, package: name },
  })
}
