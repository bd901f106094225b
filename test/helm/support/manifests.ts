/** The parts of Kubernetes objects that the tests look at. */
export interface Manifest {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly labels?: Labels
    readonly annotations?: Labels
  }
  readonly spec: Readonly<Record<string, unknown>>
  readonly data?: Labels
}

export type Labels = Readonly<Record<string, string>>

export interface Container {
  readonly name: string
  readonly image: string
  readonly command?: readonly string[]
  readonly args: readonly string[]
  readonly env: readonly EnvVar[]
  readonly envFrom?: readonly { readonly secretRef?: { readonly name: string } }[]
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[]
  readonly securityContext: Readonly<Record<string, unknown>>
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string; readonly readOnly?: boolean }[]
  readonly lifecycle?: { readonly preStop: { readonly exec: { readonly command: readonly string[] } } }
  readonly startupProbe?: Probe
  readonly livenessProbe?: Probe
  readonly readinessProbe?: Probe
}

export interface EnvVar {
  readonly name: string
  readonly value?: string
  readonly valueFrom?: {
    readonly secretKeyRef?: { readonly name: string; readonly key: string }
    readonly fieldRef?: { readonly fieldPath: string }
  }
}

export interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string }
  readonly periodSeconds: number
  readonly timeoutSeconds: number
  readonly failureThreshold: number
}

export interface PodSpec {
  readonly containers: readonly [Container]
  readonly volumes: readonly {
    readonly name: string
    readonly secret?: { readonly secretName: string }
    readonly emptyDir?: object
  }[]
  readonly securityContext: Readonly<Record<string, unknown>>
  readonly automountServiceAccountToken?: boolean
  readonly serviceAccountName?: string
  readonly terminationGracePeriodSeconds: number
  readonly topologySpreadConstraints?: readonly { readonly labelSelector: { readonly matchLabels: Labels } }[]
}

/** What makes pods. */
export interface Workload {
  readonly manifest: Manifest
  readonly labels: Labels
  readonly pod: PodSpec
  readonly container: Container
}

const WORKLOADS = ["Deployment", "StatefulSet", "Job"]

/** All objects of a kind. */
export const ofKind = (manifests: readonly Manifest[], kind: string): Manifest[] =>
  manifests.filter((manifest) => manifest.kind === kind)

/** The one object of a kind and name. @throws Error when it is not there */
export function find(manifests: readonly Manifest[], kind: string, name: string): Manifest {
  const found = ofKind(manifests, kind).find((manifest) => manifest.metadata.name === name)
  if (found !== undefined) return found
  const there = manifests.map((manifest) => `${manifest.kind}/${manifest.metadata.name}`).join(", ")
  throw new Error(`there is no ${kind}/${name}; there are ${there}`)
}

/** Everything that makes pods; `kinds` narrows it. */
export function workloads(manifests: readonly Manifest[], kinds: readonly string[] = WORKLOADS): Workload[] {
  return manifests
    .filter(({ kind }) => kinds.includes(kind))
    .map((manifest) => {
      const { metadata, spec } = manifest.spec.template as { metadata: { labels: Labels }; spec: PodSpec }
      return { manifest, labels: metadata.labels, pod: spec, container: spec.containers[0] }
    })
}

/** Whether a selector takes pods with these labels. */
export const selects = (selector: Labels, labels: Labels): boolean =>
  Object.entries(selector).every(([key, value]) => labels[key] === value)

/** The selector of whatever has one. */
export function selectorOf({ kind, spec }: Manifest): Labels {
  if (kind === "Service") return spec.selector as Labels
  const selector = (kind === "NetworkPolicy" ? spec.podSelector : spec.selector) as { matchLabels: Labels }
  return selector.matchLabels
}

/** The Secrets that a pod cannot start without. */
export function secretsOf({ pod, container }: Workload): string[] {
  return [
    ...pod.volumes.flatMap(({ secret }) => secret?.secretName ?? []),
    ...container.env.flatMap(({ valueFrom }) => valueFrom?.secretKeyRef?.name ?? []),
    ...(container.envFrom ?? []).flatMap(({ secretRef }) => secretRef?.name ?? []),
  ]
}

/** A plain variable of a container; `undefined` when it is not set, or comes from elsewhere. */
export const envOf = ({ env }: Container, name: string): string | undefined =>
  env.find((variable) => variable.name === name)?.value
