/**
 * Decisions, lists and the rules of changes, against the reference evaluator, in random worlds. The seed differs each
 * time and is printed with a failure. `npm run test:worlds -- --runs N` looks at more worlds than `npm test`.
 */
import { parseArgs } from 'node:util'
import { PrismaPg } from '@prisma/adapter-pg'
import { Signer } from '@fastify/cookie'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { v7 as uuidv7 } from 'uuid'
import { PrismaClient } from '../../src/generated/prisma/client.js'
import type { Database } from '../../src/services/database.js'
import { startSession } from '../../src/services/sessions.js'
import { hashToken, makeToken } from '../../src/services/token-secrets.js'
import { openTestApp, type RequestOptions, secrets } from '../helpers/app.js'
import { openTestDatabase } from '../helpers/database.js'
import { applied, type Change, refusal, type Wait } from '../reference/changes.js'
import type { User, World } from '../reference/world.js'
import { absentId, compareAccess, compareChecks, compareExplanation } from './worlds/asking.js'
import { activeUsers, compareDecisions, compareHeld, compareList, compareRequests, compareRows, expectEqual, expectNoEscalation } from './worlds/compare.js'
import { compareDryRun, compareDryRunRequest, isDryRunnable } from './worlds/dry-runs.js'
import { describeChange, describeWorld } from './worlds/describe.js'
import { inWorld, listIn, lists, pick, type PlannedChange, type PlannedList, walks, worlds } from './worlds/generate.js'
import { clearWorld, letHoursPass, loadWorld, prepareForWorlds } from './worlds/load.js'
import { type Credentials, type Outcome, performByRequest, performByService } from './worlds/perform.js'

const { values: options } = parseArgs({
  options: { runs: { type: 'string' }, seed: { type: 'string' }, path: { type: 'string' }, only: { type: 'string' } }
})
const runs = Number(options.runs ?? 1_000)
const seed = Number(options.seed ?? Math.floor(Math.random() * 0x7fffffff))
/** How a thousand worlds are shared out. */
const shares = { rest: 800, walks: 150, tries: 30, requests: 20 }
type Kind = keyof typeof shares
/** Each kind has a seed of its own: from the same one they would all look at the same worlds. */
const seedOf = (kind: Kind) => options.only === undefined ? seed + Object.keys(shares).indexOf(kind) : seed

const database = await openTestDatabase()
await prepareForWorlds(database)
const { request } = await openTestApp(database)
// Named statements, as in production, and with plans that are made once and not for every world.
const names = new Map<string, string>()
const db = new PrismaClient({
  adapter: new PrismaPg({ connectionString: database.url, options: '-c plan_cache_mode=force_generic_plan' }, {
    statementNameGenerator: ({ sql }) => names.get(sql) ?? (names.set(sql, `s${names.size}`).get(sql) as string)
  })
})
t.teardown(() => db.$disconnect())
// As many worlds as somebody likes take as long as they take.
if (Object.keys(options).length > 0) t.setTimeout(0)

/** Does something in a transaction of which nothing stays. */
async function rolledBack (work: (tx: Database) => Promise<void>): Promise<void> {
  const enough = new Error('enough')
  await db.$transaction(async (tx) => {
    await work(tx)
    throw enough
  }, { timeout: 60_000 }).catch((error: unknown) => { if (error !== enough) throw error })
}

/** How often changes were made and refused, by code. */
const outcomes = new Map<string, number>()

/**
 * Takes the steps of a walk one after the other. `perform` makes a change, `look` compares what there is then.
 * @returns the world at the end
 */
async function walk (
  start: World, steps: readonly PlannedChange[], log: string[],
  { tx, perform, look }: { tx: Database, perform: (world: World, change: Change) => Promise<Outcome>, look: (world: World) => Promise<void> }
): Promise<World> {
  let world = start
  for (const step of steps) {
    const change: Change | Wait | null = inWorld(world, step)
    if (change === null) continue
    log.push(describeChange(world, change))
    if (change.kind === 'wait') {
      await letHoursPass(tx, change.time)
      world = applied(world, change)
    } else {
      const expected = refusal(world, change)
      const { refusal: actual, id = '' } = await perform(world, change)
      expectEqual(world, actual, expected, 'the change is refused for')
      log.push(`  → ${actual ?? 'done'}`)
      outcomes.set(actual ?? 'done', (outcomes.get(actual ?? 'done') ?? 0) + 1)
      if (actual !== null) {
        // Nothing has changed, then.
        await compareRows(tx, world)
        continue
      }
      const [binding] = change.kind === 'create' ? await tx.$queryRaw<Array<{ id: string }>>`SELECT id FROM role_bindings WHERE resource_id = ${id}::uuid` : []
      const before = world
      world = applied(before, change, id, binding?.id)
      expectNoEscalation(before, world, change)
    }
    await look(world)
  }
  return world
}

/** Decisions and lists for all users, by the services. */
async function lookByServices (tx: Database, world: World, plans: readonly PlannedList[]): Promise<void> {
  await compareDecisions(tx, world)
  const users = activeUsers(world)
  for (const [index, user] of users.entries()) {
    const plan = plans[index % plans.length] as PlannedList
    const { filter, limit } = listIn(world, { ...plan, action: plan.action + index })
    await compareList(tx, world, user, {}, limit)
    await compareList(tx, world, user, filter, limit)
    if (index === 0) await lookByAsking(tx, world, plan)
    if (index === 0) await compareHeld(tx, world, user, (world.resources[plan.parent % world.resources.length] as { id: string }).id)
  }
}

/** The answers to questions about access, on one resource for one reader, whoever the plan chooses. */
async function lookByAsking (tx: Database, world: World, plan: PlannedList): Promise<void> {
  const { filter: { action } } = listIn(world, plan)
  const [reader, user] = [pick(activeUsers(world), plan.q), pick(world.users, plan.type)]
  const resourceId = pick([...world.resources.map(({ id }) => id), absentId], plan.parent)
  await compareChecks(tx, world, reader)
  await compareExplanation(tx, world, { readerId: reader.id, userId: user.id, action, resourceId })
  await compareAccess(tx, world, { readerId: reader.id, resourceId, action: plan.q % 2 === 0 ? action : undefined, limit: plan.limit })
}

async function atRest (world: World, plans: readonly PlannedList[]): Promise<void> {
  await rolledBack(async (tx) => {
    await loadWorld(tx, world)
    await compareRows(tx, world)
    await lookByServices(tx, world, plans)
  })
}

async function onWalk (world: World, steps: readonly PlannedChange[], plans: readonly PlannedList[], log: string[]): Promise<void> {
  await rolledBack(async (tx) => {
    await loadWorld(tx, world)
    await walk(world, steps, log, {
      tx,
      perform: async (world, change) => await performByService(tx, world, change),
      look: async (world) => {
        await compareRows(tx, world)
        await lookByServices(tx, world, plans)
      }
    })
  })
}

async function byTrying (world: World, steps: readonly PlannedChange[], log: string[]): Promise<void> {
  await rolledBack(async (tx) => {
    await loadWorld(tx, world)
    await walk(world, steps, log, {
      tx,
      perform: async (world, change) => {
        if (isDryRunnable(change)) await compareDryRun(tx, world, change)
        return await performByService(tx, world, change)
      },
      look: async (world) => await compareRows(tx, world)
    })
  })
}

const signer = new Signer(secrets)

/** A session, or for who asks by one a token, which has been used just now: that it is used for the first time is written down, and no dry run's doing. */
async function signIn ({ id: userId, narrowedTo }: User): Promise<Pick<RequestOptions, 'cookie' | 'token'>> {
  if (narrowedTo !== undefined) {
    const { secret: token, prefix } = makeToken()
    await db.accessToken.create({ data: { id: uuidv7(), userId, name: 'a token', prefix, permissions: narrowedTo, secretHash: hashToken(token), lastUsedAt: new Date() } })
    return { token }
  }
  const secret = `${userId} ${Math.random()}`
  const settings = { sessionIdleMs: 3_600_000, sessionMaxMs: 3_600_000, sessionMaxPerUser: 20 }
  await startSession(db, { userId, secret, ip: '127.0.0.1', userAgent: undefined }, settings)
  return { cookie: `sessionid=${encodeURIComponent(signer.sign(secret))}` }
}

async function byRequests (world: World, steps: readonly PlannedChange[], log: string[]): Promise<void> {
  await clearWorld(db)
  await loadWorld(db, world)
  const credentials: Credentials = new Map()
  for (const user of world.users) credentials.set(user.id, await signIn(user))
  await compareRequests(request, world, credentials)
  const end = await walk(world, steps, log, {
    tx: db,
    look: async (world) => await compareRows(db, world),
    perform: async (world, change) => {
      if (isDryRunnable(change)) await compareDryRunRequest(request, db, world, change, credentials)
      const outcome = await performByRequest(request, credentials, world, change)
      // Deactivating has ended the sessions and tokens.
      const activated = world.users.find(({ id }) => change.kind === 'activate' && change.userId === id)
      if (activated !== undefined && outcome.refusal === null) credentials.set(activated.id, await signIn(activated))
      return outcome
    }
  })
  await compareRequests(request, end, credentials)
  await clearWorld(db)
}

/** Runs a share of the worlds, and tells how to run the one that failed again. */
async function check (t: Test, kind: Kind, work: (world: World, steps: PlannedChange[], plans: PlannedList[], log: string[]) => Promise<void>): Promise<void> {
  const numRuns = options.only === undefined ? Math.ceil(runs * shares[kind] / 1_000) : runs
  let begun = 0
  let told = Date.now()
  const property = fc.asyncProperty(worlds, walks(kind === 'requests' ? 3 : 8), lists, async (world, steps, plans) => {
    begun++
    if (options.runs !== undefined && Date.now() - told > 2_000) {
      told = Date.now()
      process.stderr.write(`${kind}: ${begun} of ${numRuns} worlds\n`)
    }
    const log: string[] = []
    await work(world, steps, plans, log).catch((error: unknown) => {
      throw new Error([describeWorld(world), ...log, error instanceof Error ? error.message : String(error)].join('\n'))
    })
  })
  const started = Date.now()
  const { failed, numRuns: seen, numShrinks, counterexamplePath, errorInstance } = await fc.check(property, { seed: seedOf(kind), numRuns, ...(options.path === undefined ? {} : { path: options.path }) })
  t.comment(`${seen} worlds in ${((Date.now() - started) / 1_000).toFixed(1)} s, seed ${seedOf(kind)}`)
  if (!failed) {
    t.pass(`${seen} worlds`)
    return
  }
  const replay = `npm run test:worlds -- --only ${kind} --seed ${seedOf(kind)} --path ${counterexamplePath}`
  t.fail(`a world differs, made smaller ${numShrinks} times; again: ${replay}`, { counterexample: (errorInstance as Error).message.split('\n') })
}

const wanted = (kind: Kind) => options.only === undefined || options.only === kind

if (wanted('rest')) {
  t.test('in random worlds every decision and every list is that of the reference evaluator', async (t) => {
    await check(t, 'rest', async (world, _steps, plans) => await atRest(world, plans))
  })
}

if (wanted('walks')) {
  t.test('so it is after every step of random walks, whose changes are refused for the same reasons, and nobody gains what nobody gave', async (t) => {
    await check(t, 'walks', onWalk)
    t.comment(`changes: ${[...outcomes].map(([outcome, count]) => `${outcome} ${count}`).join(', ')}`)
  })
}

if (wanted('tries')) {
  t.test('a dry run is refused as the change would be, or tells of every decision on what its caller sees that the change changes, and changes nothing', async (t) => {
    await check(t, 'tries', async (world, steps, _plans, log) => await byTrying(world, steps, log))
  })
}

if (wanted('requests')) {
  t.test('so it is over HTTP, where hidden is 404, seen but not allowed is 403, and deactivated is 401', async (t) => {
    outcomes.clear()
    await check(t, 'requests', async (world, steps, _plans, log) => await byRequests(world, steps, log))
    t.comment(`changes: ${[...outcomes].map(([outcome, count]) => `${outcome} ${count}`).join(', ')}`)
  })
}
