import { z } from "zod"

/** A piece of text. */
export const TextPart = z.strictObject({ type: z.literal("text"), text: z.string() })
export type TextPart = z.infer<typeof TextPart>

/** Where an image is: a file that is read when the message is sent, an address, or its bytes in base64. */
export const ImageSource = z.union([
  z.strictObject({ path: z.string().min(1) }),
  z.strictObject({ url: z.url() }),
  z.strictObject({ data: z.base64(), mediaType: z.string().regex(/^image\/[a-z0-9.+-]+$/) }),
])
export type ImageSource = z.infer<typeof ImageSource>

/** An image, for models that can see. */
export const ImagePart = z.strictObject({ type: z.literal("image"), image: ImageSource })
export type ImagePart = z.infer<typeof ImagePart>

/** A tool call that a model asks for. */
export const ToolCall = z.strictObject({
  /** The provider's name for this call; the result is sent back under it. */
  id: z.string(),
  name: z.string(),
  /** As the model gave them; not checked. */
  arguments: z.record(z.string(), z.unknown()),
  /** What the model wrote when it was no JSON object. `arguments` is empty then. */
  malformed: z.string().optional(),
})
export type ToolCall = z.infer<typeof ToolCall>

export const SystemMessage = z.strictObject({ role: z.literal("system"), content: z.string() })
export type SystemMessage = z.infer<typeof SystemMessage>

export const UserMessage = z.strictObject({
  role: z.literal("user"),
  content: z.union([z.string(), z.array(z.discriminatedUnion("type", [TextPart, ImagePart]))]),
})
export type UserMessage = z.infer<typeof UserMessage>

export const AssistantMessage = z.strictObject({
  role: z.literal("assistant"),
  content: z.string(),
  /** What the model thought before it answered, where the provider tells. */
  reasoning: z.string().optional(),
  toolCalls: z.array(ToolCall).optional(),
  /** What the same provider wants back with this message (signatures of reasoning); others ignore it. */
  provider: z.strictObject({ name: z.string(), data: z.unknown() }).optional(),
})
export type AssistantMessage = z.infer<typeof AssistantMessage>

export const ToolMessage = z.strictObject({
  role: z.literal("tool"),
  /** Of the call that it answers. */
  toolCallId: z.string(),
  name: z.string(),
  content: z.string(),
  isError: z.boolean().optional(),
})
export type ToolMessage = z.infer<typeof ToolMessage>

/** One message of a conversation with a model. Plain JSON, so that it can be journaled as it is. */
export const Message = z.discriminatedUnion("role", [SystemMessage, UserMessage, AssistantMessage, ToolMessage])
export type Message = z.infer<typeof Message>
