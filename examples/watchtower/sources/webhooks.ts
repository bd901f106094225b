import { github, gitlab } from "murmur"

/**
 * The real thing: point a webhook at `/hooks/github` or `/hooks/gitlab` of this node. What comes in is turned into the same
 * events as the replay's, so `ci-triage` need not know the difference. Each needs a secret in the environment
 * (`GITHUB_WEBHOOK_SECRET`, `GITLAB_WEBHOOK_SECRET`): without one nothing that comes in could be trusted.
 */
export default [
  ...(process.env.GITHUB_WEBHOOK_SECRET ? [github()] : []),
  ...(process.env.GITLAB_WEBHOOK_SECRET ? [gitlab()] : []),
]
