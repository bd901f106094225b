/** What is fetched when no usable server is found. Raising a version means raising the digests with it, from a source that is trusted. */

/** Version of the official release archives. */
export const RELEASE_VERSION = "2.14.5"

/** Folder of the release's archives. */
export const RELEASE_BASE = `https://github.com/nats-io/nats-server/releases/download/v${RELEASE_VERSION}`

/** SHA-256 by file name. */
export type Digests = Readonly<Record<string, string>>

/** Archives by name; the list of digests (`SHA256SUMS`) is itself pinned, for platforms that have no line of their own here. */
export const RELEASE_DIGESTS: Digests = {
  [`nats-server-v${RELEASE_VERSION}-linux-amd64.tar.gz`]:
    "5e3b603d47c447bda1f77f9ac16dbf91c90aac4ff3681f8fbbc7201e4ed99355",
  [`nats-server-v${RELEASE_VERSION}-linux-arm64.tar.gz`]:
    "673a98d3faa79dde3f9ebf16d6dfac36a5f694e7ad2015e4954dd7939c85cd4c",
  [`nats-server-v${RELEASE_VERSION}-linux-arm7.tar.gz`]:
    "c8796b63a8603fdebabd63146ac3d3997c29a2829fdd2af6db320f4a287f2e71",
  [`nats-server-v${RELEASE_VERSION}-darwin-arm64.tar.gz`]:
    "ddd907854d9a2de834af133fa396915fe6442fe6d8909ae31390d1ea7a0fea50",
  [`nats-server-v${RELEASE_VERSION}-windows-amd64.zip`]:
    "f66f840a211ab665083b88e9b7edbcf6296cda143be47e53e6f6bb8520692bbb",
  SHA256SUMS: "2e842f2670eb0eed2c65f2a58ac3f0c439256d607e9654ebd6999859c18ed0e0",
}

/** Upstream version of the Debian package. */
export const DEBIAN_VERSION = "2.15.1"

/** Where the package lies below a mirror of the distribution. */
export const DEBIAN_POOL = "pool/main/n/nats-server"

/** Packages by name; the digests are those of Debian's signed index. */
export const DEBIAN_DIGESTS: Digests = {
  [`nats-server_${DEBIAN_VERSION}-1_amd64.deb`]: "31ef4ceaa84e8248d449e508472e3770c17c3695cb5cb0ee96e03912724ea884",
  [`nats-server_${DEBIAN_VERSION}-1_arm64.deb`]: "68923b614b6b5594bbd63ffdce7258c2155ec448fb4cb7efd099bf9273eca128",
}
