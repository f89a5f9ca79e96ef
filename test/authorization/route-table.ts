/** The application's own table of routes, so that a test can walk all of them, those that were added yesterday included. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { FastifyInstance, RouteOptions } from 'fastify'
import type { Access } from '../../src/plugins/access.js'
import { openTestApp, type TestApp } from '../helpers/app.js'

export interface Route {
  method: string
  url: string
  access: Access
  schema: { querystring?: unknown, body?: unknown }
}

/** Builds the test application and collects its routes. Fastify says on this channel that it begins, before the first of them. */
export async function openAppWithRoutes (...parameters: Parameters<typeof openTestApp>): Promise<TestApp & { routes: Route[] }> {
  const found: RouteOptions[] = []
  const listener = (message: unknown) => {
    const { fastify } = message as { fastify: FastifyInstance }
    fastify.addHook('onRoute', (route: RouteOptions) => { found.push(route) })
  }
  subscribe('fastify.initialization', listener)
  try {
    const app = await openTestApp(...parameters)
    // Only now: later hooks have had their say about each of them.
    const routes = found.flatMap(({ method, url, config, schema = {} }) => [method].flat().map((each) => ({ method: each, url: url.replace(/(?<=.)\/$/, ''), access: config?.access as Access, schema })))
    return { ...app, routes: routes.filter((route, index) => routes.findIndex(({ method, url }) => method === route.method && url === route.url) === index) }
  } finally {
    unsubscribe('fastify.initialization', listener)
  }
}
