/** Turns passwords into argon2id hashes and checks them, a bounded number at a time. */
import { availableParallelism } from 'node:os'
import argon2 from 'argon2'
import pLimit from 'p-limit'
import { DomainError } from '../errors.js'

/** OWASP ASVS 5.0 appendix C accepts 19 MiB, two passes, one lane: about 30 ms of one core. */
const parameters = { type: argon2.argon2id, memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const

/** A hash of nobody's password with the same parameters, so that an unknown user costs what a known one does. */
const nobodysHash = '$argon2id$v=19$m=19456,p=1,t=2$HUJ4rGLhXGMiBWbKqE4OJg$Z18BMXQlAPeaKrlvhzQf58XSu3EwQ3zCvMLgQAj8LSg'

/** Beyond these a stored hash is not ours: verifying one that claims 4 GiB took 27 s. */
const mostMemoryKiB = 262_144
/** Less is an error of the library's (RFC 9106, 3.1). */
const leastMemoryPerLaneKiB = 8
const mostPasses = 10
const mostLanes = 8

const threads = availableParallelism()
/** Hashing runs on libuv's pool, which files and DNS share: one of its threads (4 unless UV_THREADPOOL_SIZE says otherwise) stays free. */
const atOnce = Math.max(1, Math.min(threads, 3))
/** About three seconds of waiting; whoever comes later is told to come again rather than left hanging. */
const mostWaiting = 100 * atOnce
const queue = pLimit(atOnce)

function queued<T> (work: () => Promise<T>): Promise<T> {
  if (queue.pendingCount >= mostWaiting) return Promise.reject(new DomainError('overloaded'))
  return queue(work)
}

/** NFC first, so that the same password typed on another keyboard or system is the same (NIST SP 800-63B-4, 3.1.1.2). */
const normalize = (password: string) => password.normalize('NFC')

/** How passwords are hashed and checked; a parameter of the services so that a test can count the calls. */
export interface PasswordHasher {
  /** @throws {DomainError} overloaded */
  hash: (password: string) => Promise<string>
  /**
   * Whether `password` belongs to `hash`; without a hash (an unknown user) it does the same work and is false.
   * @throws {DomainError} overloaded
   */
  verify: (hash: string | undefined, password: string) => Promise<boolean>
  /** Whether a hash that verified was made with other parameters than those of today. */
  isOutdated: (hash: string) => boolean
}

export const argon2id: PasswordHasher = {
  hash: (password) => queued(() => argon2.hash(normalize(password), parameters)),
  verify: async (hash, password) => {
    const known = hash !== undefined && isReasonable(hash) ? hash : undefined
    const isRight = await queued(() => argon2.verify(known ?? nobodysHash, normalize(password)))
    return known !== undefined && isRight
  },
  isOutdated: (hash) => argon2.needsRehash(hash, parameters)
}

/** Whether a stored hash is argon2id at a bearable cost; anything else would throw, answer at once, or hang. */
function isReasonable (hash: string): boolean {
  const parts = /^\$argon2id\$v=19\$([mtp]=\d{1,6},[mtp]=\d{1,6},[mtp]=\d{1,6})\$[A-Za-z0-9+/]{22,88}\$[A-Za-z0-9+/]{43,88}$/.exec(hash)
  const cost = new Map(parts?.[1]?.split(',').map((pair) => pair.split('=') as [string, string]))
  const within = (name: string, least: number, most: number) => Number(cost.get(name)) >= least && Number(cost.get(name)) <= most
  return within('p', 1, mostLanes) && within('m', leastMemoryPerLaneKiB * Number(cost.get('p')), mostMemoryKiB) && within('t', 1, mostPasses)
}
