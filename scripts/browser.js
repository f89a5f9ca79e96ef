// `npm run test:browser`: what only a browser can show. It opens /docs in a headless Chromium, under the page's own content
// security policy, tries requests there, signs in, and attacks the session from a page elsewhere; and what a page elsewhere may that
// CORS_ORIGINS names. An argument names a file for a picture of the page. Debian's Chromium is installed when there is none and whoever asks is root.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import { root, setUp } from './setup.js'

const places = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
/** For a machine that is busy with something else as well. */
const waitMs = 60_000
const account = { email: 'jane@example.org', name: 'Jane Doe', password: 'correct horse battery staple' }
const say = (line) => { process.stdout.write(`browser: ${line}\n`) }

/** What the browser complained of: an error or warning in its console, an exception, a violation of the policy. */
const complaints = []

await setUp()
const folder = await mkdtemp(join(tmpdir(), 'gatehouse-browser-'))
const ends = [async () => await rm(folder, { recursive: true, force: true, maxRetries: 5 })]
try {
  const executablePath = findBrowser()
  const [stranger, friend] = [await startElsewhere(), await startElsewhere()]
  const url = await startService({ CORS_ORIGINS: friend })
  const browser = await chromium.launchPersistentContext(join(folder, 'profile'), {
    executablePath,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
    viewport: { width: 1280, height: 1600 }
  })
  ends.push(async () => await browser.close())
  browser.setDefaultTimeout(waitMs)
  const page = browser.pages()[0] ?? await browser.newPage()
  listen(page)
  await tryDocs(page, url)
  const elsewhere = await browser.newPage()
  await attack(elsewhere, stranger, page, url)
  await callFromElsewhere(elsewhere, { stranger, friend }, page, url)
  if (complaints.length > 0) throw new Error('the browser complained')
  say('done, without a complaint of the browser')
} catch (error) {
  say(`FAILED: ${error.message}`)
  for (const complaint of complaints) say(complaint)
  process.exitCode = 1
}
for (const end of ends.reverse()) await end()

function findBrowser () {
  const find = () => places.find((place) => existsSync(place))
  if (find() === undefined && process.platform === 'linux' && process.getuid() === 0) {
    say('installing Chromium')
    for (const args of [['update'], ['install', '--yes', '--no-install-recommends', 'chromium']]) {
      spawnSync('apt-get', args, { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } })
    }
  }
  const found = find()
  if (found === undefined) throw new Error(`there is no ${places.join(', ')}: install Chromium (on Debian "apt-get install chromium"; root is asked nothing) and run this again`)
  return found
}

/** The service on a database of its own, as it is by default but for `environment`. @returns where it listens */
async function startService (environment) {
  const env = { ...process.env, NODE_ENV: undefined, PORT: '0', HOST: '127.0.0.1', DATA_DIR: join(folder, 'data'), DATABASE_URL: '', PUBLIC_URL: '', REGISTRATION: 'open', RATE_LIMIT: 'on', ...environment }
  const child = spawn(process.execPath, [join(root, 'dist', 'main.js')], { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const ended = once(child, 'close')
  ends.push(async () => {
    child.kill('SIGTERM')
    await ended
  })
  return await new Promise((resolve, reject) => {
    const collect = (chunk) => {
      output += chunk
      const ready = /^Gatehouse is ready at (\S+)/m.exec(output)
      if (ready !== null) resolve(ready[1])
    }
    child.stdout.setEncoding('utf8').on('data', collect)
    child.stderr.setEncoding('utf8').on('data', collect)
    ended.then(() => reject(new Error(`the service did not become ready:\n${output}`)))
  })
}

function listen (page) {
  page.on('console', (message) => { if (['error', 'warning'].includes(message.type())) complaints.push(`${message.type()}: ${message.text()}`) })
  page.on('pageerror', (error) => complaints.push(`exception: ${error.message}`))
  page.on('requestfailed', (request) => complaints.push(`failed: ${request.url()} ${request.failure()?.errorText}`))
}

async function tryDocs (page, url) {
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI, sourceFile }) => {
      console.error(`violates ${violatedDirective}: ${blockedURI} ${sourceFile}`)
    })
  })
  const response = await page.goto(`${url}/docs`)
  const policy = response.headers()['content-security-policy']
  const scripts = /script-src ([^;]+)/.exec(policy)?.[1]
  if (scripts !== "'self'") throw new Error(`the policy of /docs lets scripts in from ${scripts}`)

  const { paths } = await (await fetch(`${url}/openapi.json`)).json()
  const operations = Object.values(paths).flatMap((path) => Object.keys(path)).length
  await page.waitForFunction((count) => document.querySelectorAll('.opblock').length === count, operations, { timeout: waitMs })
  say(`/docs shows all ${operations} operations`)
  if (process.argv[2] !== undefined) await page.screenshot({ path: process.argv[2] })

  await send(page, 'get', '/', 200)
  await send(page, 'post', '/users', 201, account)
  await send(page, 'post', '/auth/login', 200, { email: account.email, password: account.password })
  const shown = await send(page, 'get', '/auth/session', 200)
  if (!shown.includes(account.email)) throw new Error('the session is not that of who signed in')
  say('requests are tried from the page, and its login counts for the next ones')
  if (await page.evaluate(() => document.cookie) !== '') throw new Error('a script of the page can read a cookie')
  say('no script can read the cookies')
  if (process.argv[2] !== undefined) await page.screenshot({ path: process.argv[2].replace(/(\.\w+)?$/, '-signed-in$1') })
}

/** Opens an operation, fills in its body, and presses Execute. @returns the answer as the page shows it */
async function send (page, method, path, status, body) {
  const block = page.locator(`.opblock-${method}`, { has: page.locator(`[data-path="${path}"]`) })
  await block.locator('.opblock-summary-control').click()
  if (body !== undefined) await block.locator('textarea.body-param__text').fill(JSON.stringify(body))
  await block.locator('button.execute').click()
  const answer = block.locator('.live-responses-table .response')
  await answer.waitFor()
  const shown = (await answer.locator('.response-col_status').innerText()).trim()
  const text = await answer.innerText()
  if (!shown.startsWith(String(status))) throw new Error(`${method} ${path}: ${status} expected, the page shows ${text}`)
  await block.locator('.opblock-summary-control').click()
  return text
}

/**
 * A page on another port, which to the browser's cookies is the same site: they go with its requests, in spite of SameSite=Lax.
 * @returns its origin
 */
async function startElsewhere () {
  const server = createServer((_request, response) => response.setHeader('content-type', 'text/html').end('<!doctype html><title>elsewhere</title>')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  ends.push(async () => await once(server.close(), 'close'))
  return `http://127.0.0.1:${server.address().port}`
}

/** A page elsewhere tries to sign its visitor out. */
async function attack (elsewhere, stranger, page, url) {
  await elsewhere.goto(stranger)
  const [answer] = await Promise.all([
    elsewhere.waitForResponse(`${url}/auth/logout`),
    elsewhere.evaluate((action) => {
      document.body.innerHTML = `<form method="post" action="${action}"></form>`
      document.querySelector('form').submit()
    }, `${url}/auth/logout`)
  ])
  const { cookie } = await answer.request().allHeaders()
  if (cookie === undefined) throw new Error('the attack came without the cookie, so it shows nothing')
  if (answer.status() !== 403) throw new Error(`an attack from another port was answered ${answer.status()}`)
  const session = await page.evaluate(async () => (await fetch('/auth/session')).status)
  if (session !== 200) throw new Error(`after an attack from another port the session is answered ${session}`)
  say('a page on another port cannot use the cookie, though the browser sends it')
}

/** Cross-Origin-Resource-Policy: same-origin, which each answer has, is not for what CORS allows (Fetch asks for it for opaque answers only). */
async function callFromElsewhere (elsewhere, { stranger, friend }, page, url) {
  const { token } = await page.evaluate(async () => await (await fetch('/users/me/tokens', {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"name":"a page elsewhere"}'
  })).json())
  const rename = { method: 'PATCH', headers: { 'content-type': 'application/json' }, body: '{"name":"Jane"}' }
  const calls = [
    ['/auth/session', { credentials: 'include' }, 200],
    ['/auth/session', {}, 401],
    ['/users/me', { ...rename, credentials: 'include' }, 403],
    ['/users/me', { ...rename, headers: { ...rename.headers, authorization: `Bearer ${token}` } }, 200]
  ]
  for (const [origin, isListed] of [[stranger, false], [friend, true]]) {
    await elsewhere.goto(origin)
    for (const [path, options, status] of calls) {
      const found = await elsewhere.evaluate(async ([target, init]) => await fetch(target, init).then((answer) => answer.status, () => 'nothing'), [url + path, options])
      if (found !== (isListed ? status : 'nothing')) throw new Error(`a page that CORS_ORIGINS ${isListed ? 'names' : 'does not name'} read ${found} of ${options.method ?? 'GET'} ${path}`)
    }
  }
  say('a page that CORS_ORIGINS names reads answers, with the cookie, and changes what a token may; one that it does not name reads nothing')
}
