export { type BinaryOrigin, ensureServerBinary, type ServerBinary, type ServerBinaryOptions } from "./binary.js"
export type { OnProgress, ServerProgress } from "./progress.js"
