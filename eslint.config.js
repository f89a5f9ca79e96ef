// Style (neostandard) and the rules that keep the layers apart: who imports whom, who reads the environment, who names statuses.
import { dirname, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import neostandard, { plugins, resolveIgnoresFromGitignore } from 'neostandard'

const source = resolve(dirname(fileURLToPath(import.meta.url)), 'src')

/**
 * Which parts of src each part may import: main → app → plugins, routes → services → errors, with the database and the
 * configuration beside them. A part is a folder, or a file directly under src; every part may import itself.
 */
const mayImport = {
  main: ['app', 'config', 'database', 'logger', 'services', 'session-secrets'],
  app: ['config', 'plugins', 'routes'],
  commands: ['config', 'database', 'errors', 'generated', 'services'],
  plugins: ['database', 'errors', 'generated', 'services'],
  routes: ['services'],
  services: ['errors', 'generated'],
  database: [],
  config: [],
  logger: [],
  'session-secrets': ['database'],
  errors: []
}

/** Parts that know no HTTP, so that a test or a command can call them without a server. */
const withoutServer = ['services', 'database', 'errors']

const partOf = (file) => relative(source, file).split(sep)[0].replace(/\.[jt]s$/, '')

/** One rule on resolved paths rather than lists of banned names: what the table does not allow is refused, new parts included. */
const layers = {
  meta: { type: 'problem', schema: [] },
  create (context) {
    const part = partOf(context.filename)
    const check = (node) => {
      const name = node.source?.value ?? node.argument?.literal?.value
      if (typeof name !== 'string') return
      if (name.startsWith('.')) {
        const target = resolve(dirname(context.filename), name)
        // Beside src there is package.json, and the tests, which nothing here may lean on.
        const imported = target.startsWith(source + sep) ? partOf(target) : 'what is outside src'
        const isAllowed = imported === part || mayImport[part]?.includes(imported)
        if (!isAllowed) context.report({ node, message: `src/${part} may not import ${imported}: see mayImport in eslint.config.js.` })
      } else if (withoutServer.includes(part) && /^(@?fastify\b|light-my-request$)/.test(name)) {
        context.report({ node, message: `src/${part} knows no server: it may not import ${name}.` })
      }
    }
    return { ImportDeclaration: check, ImportExpression: check, ExportNamedDeclaration: check, ExportAllDeclaration: check, TSImportType: check }
  }
}

const status = 'Literal[value>=400][value<600]'
const statuses = [
  `CallExpression[callee.property.name=/^(code|status|writeHead)$/] > ${status}.arguments`,
  `Property[key.name=/^status(Code)?$/] > ${status}.value`,
  `AssignmentExpression[left.property.name=/^status(Code)?$/] > ${status}.right`,
  `BinaryExpression:has([name=/^status(Code)?$/]) > ${status}`,
  `SwitchStatement:has([name=/^status(Code)?$/].discriminant, [property.name=/^status(Code)?$/].discriminant) > SwitchCase > ${status}.test`,
  `Property > ${status}.key`,
  'Property > Literal.key[value=/^[45](xx|XX)$/]'
].map((selector) => ({ selector, message: 'Only src/plugins/problem.ts names statuses of 400 and above: throw a DomainError.' }))

const queries = [
  {
    selector: 'MemberExpression > Identifier.property[name=/^findFirst/]',
    message: 'findFirst answers with any row when a value in its filter is undefined: use findUnique or $queryRaw.'
  },
  {
    selector: 'MemberExpression > Identifier.property[name=/^\\$(query|execute)RawUnsafe$/]',
    message: 'Text in SQL is an injection waiting: use $queryRaw`…` or $executeRaw`…`, which pass values apart.'
  }
]

export default [
  ...neostandard({ ts: true, noJsx: true, ignores: resolveIgnoresFromGitignore() }),
  {
    rules: {
      // `for await (const line of input) return line` is how the first of something is taken.
      'no-unreachable-loop': ['error', { ignore: ['ForInStatement', 'ForOfStatement'] }],
      // Says that a promise is left alone on purpose.
      'no-void': ['error', { allowAsStatement: true }]
    }
  },
  {
    files: ['**/*.ts'],
    plugins: { 'typescript-eslint': plugins['typescript-eslint'].plugin },
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      // Prisma's promises do nothing until they are awaited.
      'typescript-eslint/no-floating-promises': ['error', {
        // tap runs its tests one after another, awaited or not.
        allowForKnownSafeCalls: [{ from: 'package', name: ['test'], package: '@tapjs/test' }]
      }],
      'typescript-eslint/no-misused-promises': 'error',
      // A TypeBox schema and the type made of it share their name; what is really declared twice, the compiler finds.
      '@typescript-eslint/no-redeclare': 'off'
    }
  },
  {
    files: ['src/**/*.ts'],
    plugins: { gatehouse: { rules: { layers } } },
    rules: {
      'gatehouse/layers': 'error',
      'no-restricted-syntax': ['error', ...queries, ...statuses]
    }
  },
  {
    files: ['src/plugins/problem.ts'],
    rules: { 'no-restricted-syntax': ['error', ...queries] }
  },
  {
    files: ['src/**/*.ts'],
    ignores: ['src/config.ts'],
    rules: {
      'no-restricted-properties': ['error', { object: 'process', property: 'env', message: 'Only src/config.ts reads the environment.' }],
      'no-restricted-imports': ['error', { paths: ['process', 'node:process'].map((name) => ({ name, importNames: ['env'], message: 'Only src/config.ts reads the environment.' })) }]
    }
  }
]
