// A process of its own that sends as much as its limits allow, for tests that kill it: its options as JSON in the first
// argument, how many at a time in the second. Says "ready" when it begins.
import { startCaller } from "./limited-caller.js"

const [options = "{}", atATime = "1"] = process.argv.slice(2)
const caller = await startCaller(JSON.parse(options))
caller.send(Number(atATime))
process.stdout.write("ready\n")
