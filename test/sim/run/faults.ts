import type { SimMesh } from "./mesh.js"
import type { SimNode } from "./node.js"
import type { Fault, NodeFault } from "./scenario.js"

/** The nodes of a run, each with its number, and what happens to them. A node that is started again is a new process. */
export class Fleet {
  readonly #running: SimNode[] = []
  #runs = 0

  constructor(
    private readonly mesh: SimMesh,
    count: number,
  ) {
    for (let n = 0; n < count; n++) this.#start(n)
  }

  /** Brings a fault about when its time comes. */
  schedule(fault: Fault): void {
    this.mesh.world.after(fault.atMs, () => this.#strike(fault))
  }

  /** The faults are over: nothing dies any more, and whatever is dead is started again. */
  heal(): void {
    this.#running.forEach((node, n) => {
      if (node.process.alive) node.process.crashAtEntry(Number.POSITIVE_INFINITY)
      else this.#start(n)
    })
  }

  #strike(fault: Fault): void {
    if (fault.kind === "server-crash") {
      this.mesh.server.crash(fault)
      return
    }
    const node = this.#running[fault.node]
    if (node?.process.alive === true) this.#hit(node, fault)
  }

  #hit(node: SimNode, fault: NodeFault): void {
    const { process, link } = node
    switch (fault.kind) {
      case "crash":
        process.crash()
        this.#startLater(fault.node, fault.backAfterMs)
        return
      case "crash-at-entry":
        process.crashAtEntry(fault.entry)
        this.#startLater(fault.node, fault.backAfterMs)
        return
      case "restart":
        void node.stop(fault.graceMs).then(() => this.#startLater(fault.node, 10))
        return
      case "pause":
        process.pause(fault.forMs)
        return
      case "stall":
        link.stall(fault.forMs)
        return
      case "break":
        link.break()
    }
  }

  /** Only if it is dead by then: a node that is to crash at its n-th entry may not have come there. */
  #startLater(n: number, afterMs: number): void {
    this.mesh.world.after(afterMs, () => {
      if (this.#running[n]?.process.alive === false) this.#start(n)
    })
  }

  #start(n: number): void {
    this.#runs += 1
    this.#running[n] = this.mesh.addNode(`node${n}.${this.#runs}`)
  }
}
