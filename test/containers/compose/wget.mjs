#!/usr/bin/env node
// As much of wget as the health check of deploy/compose.yaml asks for: fails when the page does.
const url = process.argv.at(-1)
const { ok } = await fetch(url).catch(() => ({ ok: false }))
process.exit(ok ? 0 : 8)
