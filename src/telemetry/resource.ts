import {
  defaultResource,
  detectResources,
  envDetector,
  type Resource,
  resourceFromAttributes,
} from "@opentelemetry/resources"

/** Who is speaking. */
export interface ResourceOptions {
  readonly serviceName: string
  readonly mesh: string
  readonly nodeId: string
  readonly version: string
}

/** The resource of this node; `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` win. */
export function resourceOf({ serviceName, mesh, nodeId, version }: ResourceOptions): Resource {
  return defaultResource()
    .merge(
      resourceFromAttributes({
        "service.name": serviceName,
        "service.version": version,
        "service.instance.id": nodeId,
        "murmur.mesh": mesh,
      }),
    )
    .merge(detectResources({ detectors: [envDetector] }))
}
