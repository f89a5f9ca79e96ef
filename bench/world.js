// What the benchmark measures on: organizations > projects > documents, groups in groups, and callers who see little, nearly
// all, or what many bindings and many groups give them. The same number of resources makes the same world.
const rootId = '00000000-0000-0000-0000-000000000000'
const hex = (number, digits) => number.toString(16).padStart(digits, '0')

/** Ids in the order of their making, as those of version 7 are; `kind` keeps those of different tables apart. */
const idOf = (kind) => (number) => `0190${hex(kind, 4)}-0000-7000-8000-${hex(number, 12)}`
const userId = idOf(1)
const groupId = idOf(2)
const organizationId = idOf(3)
const projectId = idOf(4)
const documentId = idOf(5)
const archivedProjectId = idOf(6)
const archivedDocumentId = idOf(7)
const bindingId = idOf(8)
const memberId = idOf(9)

const organizations = 10
const bindingsOfUser = 10
const teamSize = 10
const teamsOfDepartment = 10
const groupsOfMember = 200
const directBindings = 5_000
const archived = 50_000
const archivedInProject = 100

export const emailOf = (number) => `user${number}@example.org`
/** Two organizations between which the archive moves. */
export const archive = { id: archivedProjectId(0), size: archived, homes: [organizationId(0), organizationId(1)] }

/**
 * @param count how many resources there are beside the archive
 */
export function makeWorld (count) {
  const users = Math.max(200, Math.round(count / 100))
  const teams = Math.ceil(users / teamSize)
  const departments = Math.ceil(teams / teamsOfDepartment)
  const groups = teams + departments + 1 + groupsOfMember
  const projects = Math.max(20, Math.round(count / 100))
  const documents = count - projects - organizations - groups
  // Who is written to while others are read.
  const projectOf = (document) => document % projects
  const departmentId = (number) => groupId(teams + number)
  const companyId = groupId(teams + departments)
  const ownGroupId = (number) => groupId(teams + departments + 1 + number)

  // Ordinary users come first: each sees ten projects, and what the team, the department and the company see.
  const [sparse, dense, direct, member, owner] = [0, 1, 2, 3, 4].map((place) => users + place)
  const few = Math.max(10, Math.round(count / 10_000))
  const directOf = Math.min(directBindings, Math.floor(documents / 4))
  const projectsOfUser = (user) => Array.from({ length: bindingsOfUser }, (_, place) => (user * bindingsOfUser + place * 7) % projects)

  function * resources () {
    for (let number = 0; number < organizations; number++) yield [organizationId(number), 'organization', `Organization ${number}`, rootId]
    for (let number = 0; number < groups; number++) yield [groupId(number), 'group', `Group ${number}`, organizationId(number % organizations)]
    for (let number = 0; number < projects; number++) yield [projectId(number), 'project', `Project ${number}`, organizationId(number % organizations)]
    for (let number = 0; number < documents; number++) yield [documentId(number), 'document', `Document ${number}`, projectId(projectOf(number))]
    const shelves = archived / archivedInProject
    yield [archive.id, 'project', 'Archive', archive.homes[0]]
    for (let number = 1; number < shelves; number++) yield [archivedProjectId(number), 'project', `Shelf ${number}`, archive.id]
    for (let number = shelves; number < archived; number++) yield [archivedDocumentId(number), 'document', `Page ${number}`, archivedProjectId(number % shelves)]
  }

  function * members () {
    let number = 0
    const row = (group, user, inner) => [memberId(number++), group, user, inner]
    for (let user = 0; user < users; user++) yield row(groupId(user % teams), userId(user), null)
    for (let team = 0; team < teams; team++) yield row(departmentId(team % departments), null, groupId(team))
    for (let department = 0; department < departments; department++) yield row(companyId, null, departmentId(department))
    for (let group = 0; group < groupsOfMember; group++) yield row(ownGroupId(group), userId(member), null)
  }

  /** Every group with each group in it, itself included: what the triggers would make of the members. */
  function * groupClosure () {
    for (let group = 0; group < groups; group++) yield [groupId(group), groupId(group)]
    for (let team = 0; team < teams; team++) {
      yield [departmentId(team % departments), groupId(team)]
      yield [companyId, groupId(team)]
    }
    for (let department = 0; department < departments; department++) yield [companyId, departmentId(department)]
  }

  function * bindings () {
    let number = 0
    const row = (role, resource, user, group) => [bindingId(number++), role, resource, user, group, user ?? group]
    for (let user = 0; user < users; user++) {
      for (const [place, project] of projectsOfUser(user).entries()) yield row(place % 2 === 0 ? 'editor' : 'viewer', projectId(project), userId(user), null)
    }
    for (let team = 0; team < teams; team++) yield row('editor', projectId((team * 3 + 1) % projects), null, groupId(team))
    for (let department = 0; department < departments; department++) yield row('viewer', projectId((department * 5 + 2) % projects), null, departmentId(department))
    yield row('viewer', projectId(0), null, companyId)
    for (let place = 0; place < few; place++) yield row('viewer', documentId(Math.floor(place * documents / few)), userId(sparse), null)
    for (let organization = 1; organization < organizations; organization++) yield row('viewer', organizationId(organization), userId(dense), null)
    for (let place = 0; place < directOf; place++) yield row('viewer', documentId(Math.floor(place * documents / directOf)), userId(direct), null)
    for (let group = 0; group < groupsOfMember; group++) yield row('viewer', projectId((group * 11 + 5) % projects), null, ownGroupId(group))
    for (let organization = 0; organization < organizations; organization++) yield row('owner', organizationId(organization), userId(owner), null)
  }

  /** Documents of a project, the first few. */
  const documentsOf = (project, length) => Array.from({ length }, (_, place) => documentId(project + place * projects))

  return {
    users: users + 5,
    userId,
    resources,
    members,
    groupClosure,
    bindings,
    /** By their number among the users, with documents that each of them sees. */
    callers: {
      ordinary: (user) => ({ user, documents: projectsOfUser(user).flatMap((project) => documentsOf(project, 3)) }),
      sparse: { user: sparse, documents: Array.from({ length: few }, (_, place) => documentId(Math.floor(place * documents / few))) },
      dense: { user: dense, documents: documentsOf(1, 30) },
      direct: { user: direct, documents: Array.from({ length: 30 }, (_, place) => documentId(Math.floor(place * documents / directOf))) },
      member: { user: member, documents: documentsOf(5 % projects, 30) },
      owner: { user: owner, documents: documentsOf(0, 30), project: projectId(0) }
    },
    /** What hardly anybody sees. */
    hidden: Array.from({ length: 500 }, (_, place) => archivedDocumentId(archived - 1 - place)),
    absent: Array.from({ length: 500 }, (_, place) => documentId(documents + 1 + place))
  }
}

/** Every resource with each of its ancestors, as the triggers would make it; rows must come after those of their parents. */
export function * closureOf (resources) {
  const parents = new Map()
  for (const [id, type, , parentId] of resources) {
    // Documents have nothing below them here, and are most.
    if (type !== 'document') parents.set(id, parentId)
    let distance = 0
    yield [id, id, distance++, type]
    for (let ancestor = parentId; ancestor !== undefined; ancestor = parents.get(ancestor)) yield [ancestor, id, distance++, type]
  }
}
