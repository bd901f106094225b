import {
  defaultResource,
  detectResources,
  envDetector,
  type Resource,
  resourceFromAttributes,
} from "@opentelemetry/resources"
import { isSecretKey, REDACTED, type Redactor } from "./redact.js"

/** Who is speaking. */
export interface ResourceOptions {
  readonly redactor: Redactor
  readonly serviceName: string
  readonly mesh: string
  readonly nodeId: string
  readonly version: string
}

/** The resource of this node; `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` win. */
export function resourceOf({ serviceName, mesh, nodeId, version, redactor }: ResourceOptions): Resource {
  const resource = defaultResource()
    .merge(
      resourceFromAttributes({
        "service.name": serviceName,
        "service.version": version,
        "service.instance.id": nodeId,
        "murmur.mesh": mesh,
      }),
    )
    .merge(detectResources({ detectors: [envDetector] }))
  const clean = Object.entries(resource.attributes).map(([name, value]) => {
    if (isSecretKey(name)) return [name, REDACTED] as const
    return [name, typeof value === "string" ? redactor.text(value) : value] as const
  })
  return resourceFromAttributes(Object.fromEntries(clean))
}
