/**
 * How fast somebody may guess (contract §4, docs/security.md). A place is taken before an attempt and given back unless the
 * attempt was a failure, so that guesses at once cannot race past a limit, and who succeeds pays nothing; whoever finds none waits
 * for those under way. The counters are in the database, for all instances together.
 */
import { createHash } from 'node:crypto'
import ipaddr from 'ipaddr.js'
import { RateLimiterRes } from 'rate-limiter-flexible'
import { DomainError, type ErrorCode, type Limit, RateLimitError } from '../errors.js'
import type { PrismaClient } from '../generated/prisma/client.js'
import { removeInBatches } from './cleanup.js'
import { Counters, type CounterStore } from './counters.js'
import type { Database } from './database.js'
import { inLine, type Place } from './places.js'
import { isSignedInFrom } from './sessions.js'
import { freeFailures, Slowdown } from './slowdown.js'

const limits = {
  account: { name: 'login-account', quota: freeFailures, windowSeconds: 900 },
  address: { name: 'login-address', quota: 50, windowSeconds: 900 },
  registration: { name: 'registration', quota: 30, windowSeconds: 3_600 },
  password: { name: 'current-password', quota: 20, windowSeconds: 900 },
  subject: { name: 'unknown-subject', quota: 20, windowSeconds: 900 }
} satisfies Record<string, Limit>

/** Who tries to log in: to which account, from where, and from which browser that has been signed in to it before. */
export interface LoginAttempt { email: string, address: string, device: string | undefined }

/** Each runs `work`, unless there were too many failures. @throws {RateLimitError} without having run it */
export interface Limits {
  logIn: <T>(attempt: LoginAttempt, work: () => Promise<T>) => Promise<T>
  register: <T>(address: string, work: () => Promise<T>) => Promise<T>
  /** @param userId who has to give their password again */
  confirmPassword: <T>(userId: string, work: () => Promise<T>) => Promise<T>
  /**
   * @param userId who names somebody, and so learns whether there is such an account
   * @param how `isGuessable`: by an address. Nobody guesses an id, so a right one pays nothing and is never refused
   */
  nameSubject: <T>(userId: string, how: { isGuessable: boolean }, work: () => Promise<T>) => Promise<T>
}

export const noLimits: Limits = {
  logIn: async (_attempt, work) => await work(),
  register: async (_address, work) => await work(),
  confirmPassword: async (_userId, work) => await work(),
  nameSubject: async (_userId, _how, work) => await work()
}

/** @param store of the same database */
export function openLimits (db: Database, store: CounterStore): Limits {
  const counters = new Counters(store)
  const accounts = new Slowdown(counters, 'account')
  const clients = new Slowdown(counters, 'client')
  const addresses = window(counters, limits.address)
  const registrations = window(counters, limits.registration)
  const passwords = window(counters, limits.password)
  const subjects = window(counters, limits.subject)

  /**
   * A browser that the account knows is slowed down by its own failures only. Everybody else shares the limit of the account;
   * where that is used up, an address at which the account is signed in still has its own.
   */
  async function enterLogin ({ email, address, device }: LoginAttempt): Promise<{ client: string, places: Place[] }> {
    const account = accountKey(email)
    const client = digest(`${account}:${device ?? address}`)
    if (device !== undefined) return { client, places: [required(await clients.enter(client), limits.account)] }

    const places = [await addresses.enter(networkOf(address))]
    try {
      // One after the other: whoever has one place waits only for those of a later kind (services/places.ts).
      const inAccount = await accounts.enter(account)
      if (typeof inAccount !== 'number') places.push(inAccount)
      const inClient = await clients.enter(client)
      if (typeof inClient !== 'number') places.push(inClient)
      if (typeof inAccount !== 'number') return { client, places }
      if (typeof inClient !== 'number' && await isSignedInFrom(db, email, address)) return { client, places }
      throw new RateLimitError(limits.account, typeof inClient === 'number' ? Math.max(inAccount, inClient) : inAccount)
    } catch (error) {
      await leaveAll(places)
      throw error
    }
  }

  return {
    logIn: async (attempt, work) => {
      const { client, places } = await enterLogin(attempt)
      return await leavingUnless('invalid-credentials', places, work, async () => await clients.forget(client))
    },
    register: async (address, work) => {
      const place = await registrations.enter(networkOf(address))
      try {
        const result = await work()
        place.stay()
        return result
      } catch (error) {
        // That an address is taken tells something; that a field is wrong does not.
        if (isCode(error, 'email-taken')) place.stay()
        else await place.leave()
        throw error
      }
    },
    confirmPassword: async (userId, work) => await leavingUnless('invalid-credentials', [await passwords.enter(userId)], work),
    nameSubject: async (userId, { isGuessable }, work) => {
      if (isGuessable) return await leavingUnless('unknown-subject', [await subjects.enter(userId)], work)
      try {
        return await work()
      } catch (error) {
        if (isCode(error, 'unknown-subject')) (await subjects.enter(userId)).stay()
        throw error
      }
    }
  }
}

/** What stands for an account whether or not there is one: every address that may be tried has a counter of its own. */
export function accountKey (email: string): string {
  return digest(email.trim().toLowerCase())
}

/** Removes counters whose time is over. @returns how many */
export async function removeExpiredLimits (db: PrismaClient, batchSize = 500): Promise<number> {
  return await removeInBatches(db, batchSize, async (tx) => await tx.$executeRaw`
    DELETE FROM rate_limits WHERE key IN (
      SELECT key FROM rate_limits WHERE expire <= ${Date.now()} ORDER BY expire LIMIT ${batchSize} FOR UPDATE SKIP LOCKED)`)
}

/** A number of places for each key, all of which are free again when the time since the first has passed. */
function window (counters: Counters, limit: Limit) {
  const places = counters.open(limit.name, limit.quota, limit.windowSeconds)
  const enter = inLine(async (key) => {
    try {
      await places.consume(key)
      return { giveBack: async () => await places.giveBack(key) }
    } catch (refusal) {
      if (!(refusal instanceof RateLimiterRes)) throw refusal
      await places.giveBack(key)
      return refusal.msBeforeNext
    }
  }, limit.quota)
  /** @throws {DomainError} overloaded, {RateLimitError} */
  return { enter: async (key: string) => required(await enter(key), limit) }
}

const digest = (text: string) => createHash('sha256').update(text).digest('base64url')

const isCode = (error: unknown, code: ErrorCode) => error instanceof DomainError && error.code === code

/** Runs `work` and gives its places back, unless it fails with `code`, which is what is counted. */
async function leavingUnless<T> (code: ErrorCode, places: Place[], work: () => Promise<T>, onSuccess = async () => {}): Promise<T> {
  return await work().then(async (result) => {
    await Promise.all([leaveAll(places), onSuccess()])
    return result
  }, async (error) => {
    if (!isCode(error, code)) await leaveAll(places)
    else for (const place of places) place.stay()
    throw error
  })
}

async function leaveAll (places: Place[]): Promise<void> {
  await Promise.all(places.map(async (place) => await place.leave()))
}

function required (place: Place | number, limit: Limit): Place {
  if (typeof place === 'number') throw new RateLimitError(limit, place)
  return place
}

/** An IPv4 address, or the network of an IPv6 one: whoever has one such address has 2^64 of them. */
function networkOf (address: string): string {
  // A proxy that is trusted may say anything.
  if (!ipaddr.isValid(address)) return address.slice(0, 64)
  const parsed = ipaddr.process(address)
  return parsed.kind() === 'ipv4' ? parsed.toString() : `${(parsed as ipaddr.IPv6).parts.slice(0, 4).map((part) => part.toString(16)).join(':')}::/64`
}
