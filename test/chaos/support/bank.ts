import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { expect } from "vitest"
import { type Bus, openBus } from "../../../src/bus/bus.js"
import type { EventDraft } from "../../../src/bus/event.js"
import { buildCli } from "../../cli/support/cli.js"
import { type Checked, type CheckOptions, checkMesh } from "../../support/checker.js"
import type { TestCluster } from "../../support/nats-cluster.js"
import { startTestServer, type TestServer, type TestServerOptions } from "../../support/nats-server.js"
import { type NodeProcess, startNodeProcess } from "../../support/node-process.js"
import { type NatsProxy, startNatsProxy } from "./nats-proxy.js"

export interface BankOptions extends TestServerOptions {
  /** Of the environment of each node. */
  readonly env?: Readonly<Record<string, string>>
  /** Where it is kept, in three copies, instead of on a server of its own. The bank ends it. */
  readonly cluster?: TestCluster
}

export interface BankCheckOptions extends Omit<CheckOptions, "agent" | "on"> {
  /** How many payments there are. Default: those that were made by {@link Bank.pay}. */
  readonly payments?: number
  /** How many of them the teller gave up. Default 0. */
  readonly dead?: number
}

/** What the checker found of each agent. */
export interface BankChecked {
  readonly teller: Checked
  readonly auditor: Checked
  readonly clerk: Checked
}

/** How many accounts there are: the keys. */
export const ACCOUNTS = 100
/** The file of the bank's agents. */
export const FIXTURE = fileURLToPath(new URL("../fixtures/bank.ts", import.meta.url))
const AGENTS = { teller: "bank.paid", auditor: "bank.paid", clerk: "bank.booked" } as const

/** The nth payment. Its id says which one it is. */
export function payment(n: number, accounts = ACCOUNTS): EventDraft & { readonly id: string } {
  const account = `account-${n % accounts}`
  return { type: "bank.paid", key: account, data: { account, n }, id: `payment-${n}` }
}

/** A server, a mesh and nodes as processes of their own, and a file with what they paid for. */
export class Bank {
  readonly nodes: NodeProcess[] = []
  #paid = 0
  #proxy: NatsProxy | undefined

  private constructor(
    private readonly started: TestServer | TestCluster,
    readonly bus: Bus,
    private readonly folder: string,
    private readonly options: BankOptions,
  ) {
    writeFileSync(this.#callsFile, "")
  }

  static async open(options: BankOptions = {}): Promise<Bank> {
    await buildCli()
    const { cluster } = options
    const server = cluster ?? (await startTestServer(options))
    try {
      const bus = await openBus({ url: server.url, name: "tester" })
      await bus.ensureStreams(cluster === undefined ? {} : { replicas: 3 })
      return new Bank(server, bus, mkdtempSync(join(tmpdir(), "murmur-chaos-")), options)
    } catch (error) {
      await server.stop()
      throw error
    }
  }

  /** The one server of a bank that has one. */
  get server(): TestServer {
    if ("servers" in this.started) throw new Error("this bank is kept by a cluster: name one of its servers")
    return this.started
  }

  get #callsFile(): string {
    return join(this.folder, "calls.txt")
  }

  /** How many payments were published. */
  get paid(): number {
    return this.#paid
  }

  /** Between the nodes that are started from now on and the server. */
  async proxy(): Promise<NatsProxy> {
    this.#proxy ??= await startNatsProxy(this.server.port)
    return this.#proxy
  }

  /** Starts a node with the bank's agents. */
  async startNode(
    env: Readonly<Record<string, string>> = {},
    args = ["--no-http"],
    file = FIXTURE,
  ): Promise<NodeProcess> {
    const url = this.#proxy?.url ?? this.started.url
    const all = { CALLS_FILE: this.#callsFile, ...this.options.env, ...env }
    const node = await startNodeProcess([file, "--nats", url, ...args], { env: all })
    this.nodes.push(node)
    return node
  }

  /** Publishes the next payments, pipelined; resolves when all are stored. */
  async pay(count: number): Promise<void> {
    const from = this.#paid
    this.#paid += count
    const drafts = Array.from({ length: count }, (_, n) => payment(from + n))
    for await (const _ of this.bus.publishMany(drafts, { producer: "cli" }));
  }

  /** For how long an id is stored once only, from now on. */
  async dedupFor(ms: number): Promise<void> {
    const { events } = this.bus.names
    await this.bus.link.manager.streams.update(events, { duplicate_window: ms * 1_000_000 })
  }

  /** How many events of a type are stored; `undefined` while the server is away. */
  async countOf(type: string): Promise<number | undefined> {
    try {
      const query = { subjects_filter: this.bus.names.storedFilter(type) }
      const { state } = await this.bus.link.manager.streams.info(this.bus.names.events, query)
      return Object.values(state.subjects ?? {}).reduce((sum, n) => sum + n, 0)
    } catch {
      return undefined
    }
  }

  /** The ids of what was paid for, once for each time. */
  calls(): string[] {
    return readFileSync(this.#callsFile, "utf8").split("\n").slice(0, -1)
  }

  /** How often something was paid for that had been paid for before. */
  paidTwice(): number {
    const calls = this.calls()
    return calls.length - new Set(calls).size
  }

  /** All that murmur promises holds for each of the agents, and nothing was given up but what is expected. */
  async check(options: BankCheckOptions = {}): Promise<BankChecked> {
    const { dead = 0, payments = this.paid, ...rest } = options
    const check = (agent: keyof typeof AGENTS): Promise<Checked> =>
      checkMesh(this.bus, { ...rest, agent, on: [AGENTS[agent]] })
    const teller = await check("teller") // first: what it does is work for the clerk
    const checked = { teller, auditor: await check("auditor"), clerk: await check("clerk") }
    expect(teller.events.size, "payments").toBe(payments)
    expect([teller.dead.size, checked.auditor.dead.size, checked.clerk.dead.size], "dead letters").toEqual([dead, 0, 0])
    return checked
  }

  async close(): Promise<void> {
    for (const { child, kill9 } of this.nodes) if (child.exitCode === null && child.signalCode === null) await kill9()
    await this.#proxy?.close()
    await this.bus.close()
    await this.started.stop()
    rmSync(this.folder, { recursive: true, force: true })
  }
}
