// Sessions for the callers: begun by the service itself, one for each, so that the database holds what a login makes.
import { emailOf } from './world.js'
import { password } from './seed.js'

/** @returns what takes the number of a user and gives the cookie of a session of theirs, the same each time */
export function signerFor (url) {
  const cookies = new Map()
  return async (user) => {
    if (!cookies.has(user)) cookies.set(user, await signIn(url, user))
    return cookies.get(user)
  }
}

async function signIn (url, user) {
  const response = await fetch(`${url}/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email: emailOf(user), password })
  })
  if (response.status !== 200) throw new Error(`the login of ${emailOf(user)} was answered with ${response.status}: ${await response.text()}`)
  return response.headers.getSetCookie().find((cookie) => cookie.startsWith('sessionid=')).split(';', 1)[0]
}
