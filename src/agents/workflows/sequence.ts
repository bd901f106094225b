import type { StepContext } from "../context.js"

/** One step of a workflow: makes of a value another one, by the calls of `ctx`. */
export type Stage<In, Out, C extends StepContext = StepContext> = (value: In, ctx: C) => Promise<Out> | Out

/**
 * One stage after the other, each with what the one before has returned. What a stage does of effect goes through `ctx`:
 * so a stage that was done is not done again when the step runs again.
 *
 * @example
 * const notes = await sequence(
 *   ctx,
 *   event.data.topic,
 *   (topic, ctx) => ctx.delegate(researcher, { topic }),
 *   (facts, ctx) => ctx.delegate(writer, { facts }),
 * )
 */
export async function sequence<A, B>(ctx: StepContext, start: A, ab: Stage<A, B>): Promise<B>
export async function sequence<A, B, C>(ctx: StepContext, start: A, ab: Stage<A, B>, bc: Stage<B, C>): Promise<C>
export async function sequence<A, B, C, D>(
  ctx: StepContext,
  start: A,
  ab: Stage<A, B>,
  bc: Stage<B, C>,
  cd: Stage<C, D>,
): Promise<D>
export async function sequence<A, B, C, D, E>(
  ctx: StepContext,
  start: A,
  ab: Stage<A, B>,
  bc: Stage<B, C>,
  cd: Stage<C, D>,
  de: Stage<D, E>,
): Promise<E>
export async function sequence<A, B, C, D, E, F>(
  ctx: StepContext,
  start: A,
  ab: Stage<A, B>,
  bc: Stage<B, C>,
  cd: Stage<C, D>,
  de: Stage<D, E>,
  ef: Stage<E, F>,
): Promise<F>
export async function sequence(ctx: StepContext, start: unknown, ...stages: Stage<never, unknown>[]): Promise<unknown> {
  let value = start
  for (const stage of stages) value = await stage(value as never, ctx)
  return value
}
