import { execFileSync } from "node:child_process"
import { chmodSync, copyFileSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"

/** User and group as in the official image of Node. */
const PASSWD = "root:x:0:0:root:/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n"
const GROUP = "root:x:0:\nnode:x:1000:\n"
const TRIPLETS = { x64: "x86_64-linux-gnu", arm64: "aarch64-linux-gnu" }

/** The least that programs find on a Linux system: folders, users, name resolution, a shell. */
export function addSystem(folder) {
  for (const name of ["etc/ssl/certs", "tmp", "root", "home/node", "proc", "sys", "dev", "usr/local/bin", "data"]) {
    mkdirSync(join(folder, name), { recursive: true })
  }
  for (const open of ["tmp", "data"]) chmodSync(join(folder, open), 0o1777)
  writeFileSync(join(folder, "etc/passwd"), PASSWD)
  writeFileSync(join(folder, "etc/group"), GROUP)
  writeFileSync(join(folder, "etc/nsswitch.conf"), "hosts: files dns\n")
  for (const name of ["libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2"]) {
    const library = `/lib/${TRIPLETS[process.arch]}/${name}`
    if (existsSync(library)) addFile(folder, library, library)
  }
  addProgram(folder, "/bin/sh", "/bin/sh")
  for (const name of ["sleep", "cat"]) addProgram(folder, `/bin/${name}`, `/bin/${name}`)
  addProgram(folder, "/usr/bin/env", "/usr/bin/env")
}

/** Adds a program with every shared object that it names. */
export function addProgram(folder, program, place) {
  addFile(folder, program, place)
  chmodSync(join(folder, place), 0o755)
  for (const library of librariesOf(program)) addFile(folder, library, library)
}

/** Adds a file, or with `link` a symbolic link to that. */
export function addFile(folder, file, place, link) {
  const target = join(folder, place)
  mkdirSync(dirname(target), { recursive: true })
  if (link !== undefined) symlinkSync(link, target)
  else copyFileSync(file, target)
}

function librariesOf(program) {
  try {
    const listed = execFileSync("ldd", [program], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })
    return [...new Set(listed.match(/\/\S+/g)?.filter((path) => path.includes(".so")) ?? [])]
  } catch {
    return [] // a static program
  }
}
