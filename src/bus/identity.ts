import { createAccount, createOperator, createUser, fromSeed } from "@nats-io/nkeys"
import { MurmurError } from "../errors.js"

/** A key pair of NATS: the seed is the secret, the public key is what servers know. */
export interface IdentityKey {
  /** `SU...`, `SA...`, `SO...`: never to be printed. */
  readonly seed: string
  /** `U...`, `A...`, `O...` */
  readonly publicKey: string
}

const MAKERS = { user: createUser, account: createAccount, operator: createOperator }

/** Makes a key pair. */
export function createIdentity(kind: keyof typeof MAKERS): IdentityKey {
  const pair = MAKERS[kind]()
  return { seed: text(pair.getSeed()), publicKey: pair.getPublicKey() }
}

/**
 * The public key of a seed.
 *
 * @throws MurmurError `IDENTITY_SEED`
 */
export function publicKeyOf(seed: string): string {
  try {
    return fromSeed(Buffer.from(seed.trim())).getPublicKey()
  } catch (cause) {
    throw new MurmurError("Cannot read a key: it is no nkey seed (SU..., SA..., SO...)", {
      code: "IDENTITY_SEED",
      cause,
    })
  }
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()
