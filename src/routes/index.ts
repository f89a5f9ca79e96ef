/** All routes, in the order in which the OpenAPI document shows them. */
import type { FastifyPluginAsync } from 'fastify'
import { auditRoutes } from './audit.js'
import { authenticationRoutes } from './authentication.js'
import { authorizationRoutes } from './authorization.js'
import { bindingRoutes } from './bindings.js'
import { coreRoutes } from './core.js'
import { groupRoutes } from './groups.js'
import { resourceTypeRoutes } from './resource-types.js'
import { resourceRoutes } from './resources.js'
import { roleRoutes } from './roles.js'
import { sharedSchemas } from './schemas.js'
import { sessionRoutes } from './sessions.js'
import { tokenRoutes } from './tokens.js'
import { userRoutes } from './users.js'

export const routes: FastifyPluginAsync<{ version: string }> = async (app, { version }) => {
  sharedSchemas.forEach((schema) => app.addSchema(schema))
  await app.register(coreRoutes, { version })
  await app.register(userRoutes)
  await app.register(authenticationRoutes)
  await app.register(sessionRoutes)
  await app.register(tokenRoutes)
  await app.register(resourceRoutes)
  await app.register(bindingRoutes)
  await app.register(groupRoutes)
  await app.register(roleRoutes)
  await app.register(resourceTypeRoutes)
  await app.register(authorizationRoutes)
  await app.register(auditRoutes)
}
