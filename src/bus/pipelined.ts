interface Sent<Out> {
  readonly result: Promise<Out>
  settled: boolean
}

/**
 * Sends what an input yields, and yields the results in the order of the input, each as soon as it is there. At most
 * `inflightMax` are on their way at a time; the input is read no faster than that.
 *
 * At the first failure nothing more is read or begun, and the failure is thrown in its place. An input that fails is
 * reported when the results of what it had yielded are out.
 */
export async function* pipelined<In, Out>(
  input: Iterable<In> | AsyncIterable<In>,
  send: (item: In) => Promise<Out>,
  inflightMax: number,
): AsyncGenerator<Out> {
  const reader = Symbol.asyncIterator in input ? input[Symbol.asyncIterator]() : input[Symbol.iterator]()
  const inflight: Sent<Out>[] = []
  let reading: Promise<void> | undefined
  let end: { readonly error?: unknown } | undefined
  const read = async (): Promise<void> => {
    try {
      const next = await reader.next()
      if (next.done === true) end = {}
      else inflight.push(track(send(next.value)))
    } catch (error) {
      end = { error }
    }
  }
  const readNext = (): Promise<void> =>
    read().finally(() => {
      reading = undefined
    })
  try {
    for (;;) {
      if (end === undefined && inflight.length < inflightMax) reading ??= readNext()
      const [first] = inflight
      if (first?.settled === true) {
        inflight.shift()
        yield await first.result
      } else if (first !== undefined && reading !== undefined) {
        await Promise.race([reading, first.result])
      } else if (first !== undefined) {
        await first.result
      } else if (reading !== undefined) {
        await reading
      } else {
        if (end !== undefined && "error" in end) throw end.error
        return
      }
    }
  } finally {
    // not awaited: an input that waits for its own next item would hold up whoever wants no more of it
    if (end === undefined) Promise.resolve(reader.return?.()).catch(() => {})
  }
}

/** Notes when a result is there. It is awaited in its turn, so a failure before that is nobody's surprise. */
function track<Out>(result: Promise<Out>): Sent<Out> {
  const sent = { result, settled: false }
  const settle = (): void => {
    sent.settled = true
  }
  result.then(settle, settle)
  return sent
}
