import { webcrypto } from "node:crypto"

/** A certificate and its private key, as PEM. */
export interface TestPair {
  readonly cert: string
  readonly key: string
}

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" }
const DAY_MS = 86_400_000
/** The NATS client takes a server that is named by an address for `localhost` when it checks the certificate. */
const HERE = [
  { type: "ip", value: "127.0.0.1" },
  { type: "dns", value: "localhost" },
] as const

/** An authority made for one test, a certificate of it for a server at 127.0.0.1, and one for a client. */
export async function testCertificates(
  serverName: string,
  clientName: string,
): Promise<{ ca: string; server: TestPair; client: TestPair }> {
  const x509 = await loadX509()
  x509.cryptoProvider.set(webcrypto as unknown as Parameters<typeof x509.cryptoProvider.set>[0])
  const pair = () => webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"])
  const common = {
    notBefore: new Date(Date.now() - DAY_MS),
    notAfter: new Date(Date.now() + DAY_MS),
    signingAlgorithm: ALGORITHM,
  }
  const authority = await pair()
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    ...{ ...common, name: "CN=tests", keys: authority, serialNumber: "01" },
    extensions: [new x509.BasicConstraintsExtension(true, 1, true)],
  })
  const issue = async (name: string, serialNumber: string): Promise<TestPair> => {
    const keys = await pair()
    const certificate = await x509.X509CertificateGenerator.create({
      ...{ ...common, subject: `CN=${name}`, issuer: root.subject, serialNumber },
      ...{ publicKey: keys.publicKey, signingKey: authority.privateKey },
      extensions: [new x509.SubjectAlternativeNameExtension([...HERE])],
    })
    const key = x509.PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY")
    return { cert: certificate.toString("pem"), key }
  }
  return { ca: root.toString("pem"), server: await issue(serverName, "02"), client: await issue(clientName, "03") }
}

/**
 * What the package injects its parts with refuses to load without the `Reflect` metadata of old TypeScript decorators,
 * and then does without it.
 */
function loadX509(): Promise<typeof import("@peculiar/x509")> {
  const reflect = Reflect as Partial<Record<"getMetadata" | "getOwnMetadata" | "metadata" | "defineMetadata", unknown>>
  reflect.getMetadata ??= () => undefined
  reflect.getOwnMetadata ??= () => undefined
  reflect.metadata ??= () => () => {}
  reflect.defineMetadata ??= () => {}
  return import("@peculiar/x509")
}
