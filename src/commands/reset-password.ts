/** `npm run reset-password -- --email E`: a new password for somebody who has lost theirs, from whoever has a shell on the machine. */
import { operator } from '../services/caller.js'
import { resetPassword } from '../services/authentication.js'
import { findUserByEmail } from '../services/users.js'
import { passwordUsage, readPassword } from './password-prompt.js'
import { runCommand } from './run.js'

await runCommand({
  name: 'reset-password',
  usage: `npm run reset-password -- --email jane@example.org   ${passwordUsage}`,
  options: ['email'],
  work: async (db, { email }, config) => {
    const user = await findUserByEmail(db, email)
    // Before the password is asked for: whoever mistyped the address need not think of one.
    if (user === null) throw new Error('there is no account with this e-mail: nothing was changed')
    await resetPassword(db, operator, user, await readPassword(), config)
    const state = user.isActive ? '' : ' The account is deactivated, so it cannot sign in.'
    return `${user.email} has a new password; every session and access token of the account has ended.${state}`
  }
})
