/** What a dry run must tell (contract §6), as naively as the decision itself: both worlds, every user, thing and action. */
import { askedBy } from './asking.js'
import { applied, type Change } from './changes.js'
import { actionsOf, type Decision, decide, sees } from './evaluator.js'
import type { World } from './world.js'

export interface Difference { user: string, resource: string, action: string, before: Decision, after: Decision }

const levels: Decision[] = ['hide', 'forbid', 'allow']

/** The decisions about what the caller sees that a change changes, in order. */
export function differences (world: World, change: Change): Difference[] {
  // A token narrows what its user sees, not what a decision is.
  const [before, after] = [askedBy(world, 'nobody'), askedBy(applied(world, change, 'new'), 'nobody')]
  const all = world.resources.filter(({ id }) => sees(world, change.by, id)).flatMap(({ id: resource, type }) =>
    world.users.flatMap(({ id: user }) => actionsOf(world, type).map((action) =>
      ({ user, resource, action, before: decide(before, user, action, resource), after: decide(after, user, action, resource) }))))
  const key = ({ user, resource, action, before, after }: Difference) => {
    const place = user !== change.by ? 2 : levels.indexOf(after) < levels.indexOf(before) ? 0 : 1
    return `${place} ${user} ${resource} ${action}`
  }
  return all.filter((each) => each.before !== each.after).sort((one, other) => key(one) < key(other) ? -1 : 1)
}
