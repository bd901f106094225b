import { createAccount, createOperator, createUser } from "@nats-io/nkeys"

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

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()
