/** `npm run create-admin -- --email E --name N`: makes a user who is owner of the root, like Django's createsuperuser. */
import { makeOwnerOfRoot } from '../services/bindings.js'
import { operator } from '../services/caller.js'
import { createUser, findUserByEmail } from '../services/users.js'
import { passwordUsage, readPassword } from './password-prompt.js'
import { runCommand } from './run.js'

const usage = `npm run create-admin -- --email jane@example.org --name "Jane Doe"   ${passwordUsage}`

await runCommand({
  name: 'create-admin',
  usage,
  options: ['email', 'name'],
  work: async (db, { email, name }, config) => {
    const known = await findUserByEmail(db, email)
    if (known !== null) {
      await makeOwnerOfRoot(db, known.id)
      const state = known.isActive ? '' : ' The account is deactivated, so it cannot sign in.'
      return `${known.email} exists already: the account now holds every right; its password is unchanged.${state}`
    }
    if (name === undefined) throw new Error(`--name is missing: there is no account with this e-mail yet\nusage: ${usage}`)
    const password = await readPassword()
    const user = await db.$transaction(async (tx) => {
      const created = await createUser(tx, { email, name, password }, config, operator)
      await makeOwnerOfRoot(tx, created.id)
      return created
    })
    return `${user.email} was created and holds every right.`
  }
})
