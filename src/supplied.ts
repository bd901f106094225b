/**
 * What agent files may import without an install: the running murmur, and the libraries that it shares with them. One
 * copy of each, so that a pipeline built by an agent file and the runtime mean the same RxJS.
 */
export async function suppliedModules(): Promise<Record<string, unknown>> {
  const [murmur, rxjs, operators, zod] = await Promise.all([
    import("./index.js"),
    import("rxjs"),
    import("rxjs/operators"),
    import("zod"),
  ])
  return { murmur, rxjs, "rxjs/operators": operators, zod }
}
