/** Which events concern which agents: patterns, filters that travel, the routing table and its live copy. */
export { checkRoute, type KnownMesh } from "./check.js"
export { collapse, coverOf } from "./cover.js"
export type { DataQuery } from "./data-query.js"
export { type AttributeValues, compileFilter, type Filter, filterSchema, parseFilter } from "./filter.js"
export { LiveRoutes, type LiveRoutesOptions } from "./live.js"
export { covers, isLiteral, matches, overlaps, type Pattern, parsePattern } from "./pattern.js"
export { isInboxType } from "./reserved.js"
export {
  byPrecedence,
  codeRoute,
  codeRouteId,
  isCodeId,
  type LocalRoute,
  liveRoute,
  liveRouteId,
  mergeRoutes,
  parseRoute,
  type Route,
  type RouteInput,
  routeSchema,
  sameRoute,
  travelling,
} from "./route.js"
export { addRoute, declareRoutes, type RouteBucket, type RouteRecord, removeRoute, routeKey } from "./route-bucket.js"
export { RouteTable } from "./table.js"
