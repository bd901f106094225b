import { X509Certificate as NodeCertificate, webcrypto } from "node:crypto"
import { isIP } from "node:net"
import { resolve } from "node:path"
import { MurmurError } from "../../errors.js"
import type { AuthFolder } from "./folder.js"

/** What `murmur auth init --tls` writes. */
export interface WrittenFile {
  readonly file: string
  readonly isNew: boolean
}

const CA = "ca.pem"
const CA_KEY = "ca.key"
const SERVER = "server.pem"
const SERVER_KEY = "server.key"
const CONFIG = "tls.conf"
/** Servers are reached so on their own machine. */
const ALWAYS = ["localhost", "127.0.0.1"]
const DAY_MS = 86_400_000
const CA_DAYS = 3_650
const SERVER_DAYS = 365
/** A certificate is made anew when it expires within so many days. */
const RENEW_DAYS = 30
/** Clocks differ. */
const BACK_MS = 3_600_000
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" }
const HOST = /^(?:\*\.)?[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/i

/**
 * Makes an authority, if there is none, and a certificate of it for the servers, if there is none for these names or it
 * expires within a month.
 *
 * @param hosts names and addresses of the servers
 * @throws MurmurError `AUTH_HOST`, `AUTH_FOLDER`
 */
export async function makeCertificates(folder: AuthFolder, hosts: readonly string[]): Promise<WrittenFile[]> {
  const names = [...new Set([...ALWAYS, ...hosts.map((host) => checkedHost(host.trim()))])]
  const maker = new Maker(folder, await loadX509())
  const ca = await maker.authority()
  const server = await maker.server(names)
  const config = await writeConfig(folder)
  return [
    ...[CA, CA_KEY].map((file) => ({ file, isNew: ca })),
    ...[SERVER, SERVER_KEY].map((file) => ({ file, isNew: server })),
    { file: CONFIG, isNew: config },
  ]
}

/**
 * The library of certificates stands on one for dependency injection, which asks for the metadata of decorators when it is
 * loaded, and for nothing that would have to be there: without any metadata both work.
 */
async function loadX509(): Promise<typeof import("@peculiar/x509")> {
  const none = (): undefined => undefined
  const without = { getMetadata: none, getOwnMetadata: none, defineMetadata: none }
  for (const [name, does] of Object.entries(without)) if (!(name in Reflect)) Object.assign(Reflect, { [name]: does })
  return import("@peculiar/x509")
}

function checkedHost(host: string): string {
  if (isIP(host) !== 0 || HOST.test(host)) return host
  throw new MurmurError(`Cannot make a certificate for ${JSON.stringify(host)}: it is no host name and no address`, {
    code: "AUTH_HOST",
    details: { host },
  })
}

class Maker {
  constructor(
    private readonly folder: AuthFolder,
    private readonly x509: typeof import("@peculiar/x509"),
  ) {
    x509.cryptoProvider.set(webcrypto as never)
  }

  /** @returns whether it was made */
  async authority(): Promise<boolean> {
    if ((await this.folder.read(CA)) !== undefined) return false
    const { x509 } = this
    const keys = await this.#keys()
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      ...this.#valid(CA_DAYS),
      serialNumber: serial(),
      name: "CN=murmur",
      keys,
      signingAlgorithm: ALGORITHM,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    })
    await this.folder.writeSecret(CA_KEY, await pem(keys.privateKey))
    await this.folder.write(CA, `${certificate.toString("pem")}\n`)
    return true
  }

  /** @returns whether it was made */
  async server(names: readonly string[]): Promise<boolean> {
    const { folder, x509 } = this
    const [found, authority] = await Promise.all([folder.read(SERVER), folder.read(CA)])
    if (found !== undefined && isGood(found, authority ?? "", names)) return false
    const issuer = new x509.X509Certificate(authority ?? "")
    const keys = await this.#keys()
    const certificate = await x509.X509CertificateGenerator.create({
      ...this.#valid(SERVER_DAYS),
      serialNumber: serial(),
      subject: "CN=nats-server",
      issuer: issuer.subject,
      publicKey: keys.publicKey,
      signingKey: await this.#signingKey(),
      signingAlgorithm: ALGORITHM,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        // servers of a cluster are each other's clients
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
        new x509.SubjectAlternativeNameExtension(
          names.map((value) => ({ type: isIP(value) === 0 ? ("dns" as const) : ("ip" as const), value })),
        ),
        await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    })
    await folder.writeSecret(SERVER_KEY, await pem(keys.privateKey))
    await folder.write(SERVER, `${certificate.toString("pem")}\n`)
    return true
  }

  #keys(): Promise<webcrypto.CryptoKeyPair> {
    return webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]) as Promise<webcrypto.CryptoKeyPair>
  }

  async #signingKey(): Promise<webcrypto.CryptoKey> {
    const [der] = this.x509.PemConverter.decode(await this.folder.seed(CA_KEY))
    return webcrypto.subtle.importKey("pkcs8", der ?? new ArrayBuffer(0), ALGORITHM, false, [
      "sign",
    ]) as Promise<webcrypto.CryptoKey>
  }

  #valid(days: number): { notBefore: Date; notAfter: Date } {
    const now = Date.now()
    return { notBefore: new Date(now - BACK_MS), notAfter: new Date(now + days * DAY_MS) }
  }
}

/** Whether a certificate is of this authority, for all these names, and for a while. */
function isGood(text: string, authority: string, names: readonly string[]): boolean {
  const certificate = new NodeCertificate(text)
  const covers = (name: string): boolean =>
    (isIP(name) === 0 ? certificate.checkHost(name.replace("*", "any")) : certificate.checkIP(name)) !== undefined
  const left = Date.parse(certificate.validTo) - Date.now()
  return certificate.checkIssued(new NodeCertificate(authority)) && names.every(covers) && left > RENEW_DAYS * DAY_MS
}

async function writeConfig(folder: AuthFolder): Promise<boolean> {
  const text = [
    "# Written by murmur auth init --tls; include it in the configuration of each server.",
    "tls {",
    // a server looks for names that are relative in the folder in which it was started
    `  cert_file: ${JSON.stringify(resolve(folder.file(SERVER)))}`,
    `  key_file: ${JSON.stringify(resolve(folder.file(SERVER_KEY)))}`,
    `  ca_file: ${JSON.stringify(resolve(folder.file(CA)))}`,
    '  min_version: "1.3"',
    "}",
    "",
  ].join("\n")
  if ((await folder.read(CONFIG)) === text) return false
  await folder.write(CONFIG, text)
  return true
}

function serial(): string {
  return Buffer.from(webcrypto.getRandomValues(new Uint8Array(15))).toString("hex")
}

async function pem(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", key))
  const lines = der.toString("base64").match(/.{1,64}/g) ?? []
  return ["-----BEGIN PRIVATE KEY-----", ...lines, "-----END PRIVATE KEY-----", ""].join("\n")
}
