import { checkTemplate, renderTemplate } from "../minds/template.js"

/** A text with places for variables. */
export type Template<V extends Readonly<Record<string, unknown>>> = (variables: V) => Promise<string>

/**
 * A text for a model with variables between its stages (LiquidJS), checked when it is made. It is filled in the same way
 * each time, so it needs no place in the journal.
 *
 * @throws MurmurError `TEMPLATE`; filling it in: TerminalError `TEMPLATE`
 * @example
 * const brief = template<{ topic: string; facts: string[] }>("Write about {{ topic }}:{% for f in facts %} {{ f }}.{% endfor %}")
 * const { text } = await ctx.llm.text(await brief({ topic, facts }))
 */
export function template<V extends Readonly<Record<string, unknown>> = Readonly<Record<string, unknown>>>(
  text: string,
): Template<V> {
  checkTemplate(text)
  return (variables) => renderTemplate(text, variables)
}
