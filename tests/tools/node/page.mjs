// Uses the page /ui in Chromium as a person would: once with the mouse, once with keys alone.
// node page.mjs CONFIGURATION.json; prints what it saw as JSON, and asserts nothing itself.
import { createHash } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, join } from 'node:path'
import jsQR from 'jsqr'
import { chromium } from 'playwright-core'

const given = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const DESKTOP = { width: 1100, height: 760 }
const PHONE = { width: 390, height: 844 }
const HANG_MILLISECONDS = given.hang_seconds * 1000

const browser = await chromium.launch({
  executablePath: given.chromium,
  args: ['--disable-gpu', '--disable-background-networking', '--disable-component-update', '--no-first-run'],
  chromiumSandbox: false,
})
const seen = { errors: [], hosts: [], metadata: [], violations: [] }

/** Return a page in a context of its own, which is watched. */
async function opened(options) {
  const context = await browser.newContext({ acceptDownloads: true, ...options })
  context.setDefaultTimeout(HANG_MILLISECONDS)
  const page = await context.newPage()
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') {
      seen.errors.push({ text: message.text(), url: message.location().url })
    }
  })
  page.on('pageerror', (error) => seen.errors.push({ text: String(error), url: '' }))
  context.on('request', (request) => {
    seen.hosts.push(new URL(request.url()).origin)
    seen.metadata.push(request.headers()['upload-metadata'] ?? '')
  })
  return page
}

/** Look for violations of accessibility rules in what is shown now. */
async function check(page, view) {
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(axe)
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }))
  for (const one of found.violations) {
    seen.violations.push({ view, rule: one.id, nodes: one.nodes.map((node) => node.html).slice(0, 3) })
  }
}

async function checkBoth(page, view) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme })
    await check(page, `${view} ${colorScheme}`)
  }
  await page.emulateMedia({ colorScheme: 'light' })
}

async function picture(page, name) {
  if (given.pictures) await page.screenshot({ path: join(given.pictures, `page-${name}.png`) })
}

const text = (page, selector) => page.locator(selector).innerText()
const hashOf = (path) => createHash('sha256').update(readFileSync(path)).digest('hex')
const goTo = (page, view) => page.click(`#views a[href="#${view}"]`)

/** Wait until an element has a text that matches. */
async function waitForText(page, selector, pattern) {
  await page.locator(selector).filter({ hasText: pattern }).waitFor()
}

async function rowsOf(page, selector) {
  return page.locator(`${selector} tr`).evaluateAll((rows) => rows.map((row) => [...row.cells].map((cell) => cell.innerText)))
}

/** Return the text of the QR code that is shown, as another library reads it. */
async function scanned(page) {
  const [size, path] = await page.locator('#qr svg').evaluate((image) => [
    image.viewBox.baseVal.width,
    image.querySelector('path').getAttribute('d'),
  ])
  const scale = 4
  const width = size * scale
  const pixels = new Uint8ClampedArray(width * width * 4).fill(255)
  for (const [, x, y] of path.matchAll(/M(\d+) (\d+)/g)) {
    for (let dy = 0; dy < scale; dy += 1) {
      const from = ((Number(y) * scale + dy) * width + Number(x) * scale) * 4
      for (let i = 0; i < scale * 4; i += 1) if (i % 4 !== 3) pixels[from + i] = 0
    }
  }
  return jsQR(pixels, width, width)?.data ?? null
}

/** Drop files on an element, as a file manager does. */
async function drop(page, selector, paths) {
  const files = paths.map((path) => ({ name: basename(path), content: readFileSync(path).toString('base64') }))
  const transfer = await page.evaluateHandle((all) => {
    const made = new DataTransfer()
    for (const { name, content } of all) {
      made.items.add(new File([Uint8Array.from(atob(content), (one) => one.charCodeAt(0))], name))
    }
    return made
  }, files)
  for (const type of ['dragover', 'drop']) await page.dispatchEvent(selector, type, { dataTransfer: transfer })
}

async function downloaded(page, action) {
  const [download] = await Promise.all([page.waitForEvent('download'), action()])
  return { name: download.suggestedFilename(), path: await download.path() }
}

/**
 * Send a large file over a slow line; it is paused in the middle, and goes on from there. The second
 * time the page is loaded again meanwhile, and the same file is chosen again. Then the service says
 * once that the same bytes are in flight.
 */
async function pausedUpload(page) {
  const offsets = []
  page.on('dialog', (dialog) => dialog.accept()) // the browser asks whether to leave the page
  page.on('request', (request) => {
    if (request.method() === 'PATCH') offsets.push(Number(request.headers()['upload-offset']))
  })
  const line = await page.context().newCDPSession(page)
  const slow = { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: 2_000_000 }
  await line.send('Network.emulateNetworkConditions', slow)
  await page.setInputFiles('#files', given.large)
  await pausedAfter(page, 2_000_000)
  await itemOf(page).locator('button').click()
  await pausedAfter(page, 4_000_000)
  await page.reload()
  await page.locator('#view-upload').waitFor()
  await page.selectOption('#study', given.study)
  await page.fill('#subject', given.subjects[0])
  await line.send('Network.emulateNetworkConditions', { ...slow, uploadThroughput: -1 })
  await page.route('**/v1/files/*', inFlightOnce())
  await page.setInputFiles('#files', given.large)
  await itemOf(page).filter({ hasText: 'accepted' }).waitFor()
  return offsets
}

/** Return a route that refuses the first request with bytes. */
function inFlightOnce() {
  let left = 1
  return async (route) => {
    if (route.request().method() !== 'PATCH' || left === 0) return route.continue()
    left -= 1
    const problem = { type: 'https://healthingest.dev/problems/upload-in-flight', detail: 'In flight.' }
    return route.fulfill({ status: 409, contentType: 'application/problem+json', body: JSON.stringify(problem) })
  }
}

const itemOf = (page) => page.locator('#queue li').filter({ hasText: basename(given.large) })

/** Press the button that pauses the large file once so many bytes were sent. */
async function pausedAfter(page, sentBytes) {
  await page.waitForFunction(
    ([name, bytes]) => [...document.querySelectorAll('#queue li')].some((one) => one.innerText.includes(name) && one.querySelector('progress').value > bytes),
    [basename(given.large), sentBytes],
  )
  await itemOf(page).locator('button').click()
  await itemOf(page).filter({ hasText: 'paused' }).waitFor()
}

async function withMouse() {
  const page = await opened({ viewport: DESKTOP, colorScheme: 'light' })
  const found = {}
  await page.goto(`${given.address}/ui`)
  await page.locator('#email').waitFor()
  await checkBoth(page, 'sign-in')
  await page.fill('#email', given.email)
  await page.fill('#password', given.password)
  await page.click('#password-form button')
  await page.locator('#view-upload').waitFor()
  await page.selectOption('#study', given.study)
  await page.fill('#subject', given.subjects[0])
  await drop(page, '#drop', given.files[0])
  await waitForText(page, '#upload-summary', given.summary)
  found.summary = await text(page, '#upload-summary')
  found.findings = await rowsOf(page, '#finding-rows')
  await checkBoth(page, 'upload')
  await page.locator('#findings').scrollIntoViewIfNeeded()
  await picture(page, 'upload')
  await page.click('#clear')
  found.offsets = await pausedUpload(page)
  found.large_bytes = statSync(given.large).size
  await page.reload()
  await page.locator('#view-upload').waitFor()

  await goTo(page, 'history')
  await waitForText(page, '#history-note', /uploads, 0 not announced yet/)
  found.history = await rowsOf(page, '#history-rows')
  await checkBoth(page, 'history')
  await picture(page, 'history')
  const button = page.locator('#history-rows button').filter({ hasText: 'Download' }).last()
  const file = await downloaded(page, () => button.click())
  found.download = { name: file.name, hash: hashOf(file.path) }

  await goTo(page, 'devices')
  await page.fill('#enrol-subject', given.subjects[0])
  await page.click('#enrol-form button')
  await page.locator('#enrolled').waitFor()
  found.code = await text(page, '#code')
  found.scanned = await scanned(page)
  await checkBoth(page, 'devices')
  await picture(page, 'devices')
  await page.fill('#token-name', 'kitchen tablet')
  await page.click('#token-form button')
  await page.locator('#made').waitFor()
  found.token = await text(page, '#token-text')

  await goTo(page, 'coverage')
  await waitForText(page, '#coverage-note', /uploads about/)
  found.coverage = await rowsOf(page, '#heat-rows')
  await checkBoth(page, 'coverage')
  await picture(page, 'coverage')

  await goTo(page, 'erasure')
  await page.fill('#erase-subject', given.subjects[0])
  await page.click('#erase-form button')
  await page.locator('#confirm[open]').waitFor()
  found.is_guarded = await page.isDisabled('#confirm-yes')
  await checkBoth(page, 'confirm')
  await page.fill('#confirm-input', given.subjects[0])
  await page.click('#confirm-yes')
  await page.locator('#certificate').waitFor()
  found.certificate = await page.inputValue('#certificate-text')
  await checkBoth(page, 'erasure')
  await picture(page, 'erasure')

  await page.click('#sign-out')
  await page.locator('#email').waitFor()
  found.cookies = await page.context().cookies()
  found.left = await page.evaluate(() => {
    const inputs = [...document.querySelectorAll('input, textarea')].map((one) => one.value)
    return [document.body.textContent, ...inputs, JSON.stringify({ ...sessionStorage, ...localStorage })].join(' ')
  })
  found.pace = await page.evaluate(paceOf)
  await page.context().close()
  return found
}

/** Return how the page paces itself by what the service says; it runs in the page. */
async function paceOf() {
  const source = document.querySelector('script').src
  const { noteLimits, pollDelay, waitFor } = await import(source.replace('app.js', 'pace.js'))
  const after = (header) => {
    noteLimits(header)
    return [pollDelay(2000), waitFor('uploads')]
  }
  return {
    plenty: after('"requests";r=90000;t=60, "uploads";r=5;t=60'),
    few: after('"requests";r=30;t=3600, "uploads";r=0;t=40'),
    none: after('"requests";r=3;t=3600'),
  }
}

/** Press Tab, or Shift and Tab, until an element has the focus, as somebody without a mouse does. */
async function tabTo(page, selector, key = 'Tab') {
  for (let presses = 0; presses < 300; presses += 1) {
    if (await page.evaluate((one) => document.activeElement?.matches(one), selector)) return
    await page.keyboard.press(key)
  }
  throw new Error(`the focus does not reach ${selector}`)
}

async function press(page, selector, key = 'Tab') {
  await tabTo(page, selector, key)
  await page.keyboard.press('Enter')
}

const viewByKeys = async (page, view) => {
  await press(page, `#views a[href="#${view}"]`, 'Shift+Tab')
  await page.locator(`#view-${view}`).waitFor()
}

async function withKeys() {
  const page = await opened({ viewport: PHONE, colorScheme: 'dark', isMobile: false })
  const found = {}
  await page.goto(`${given.address}/ui`)
  await page.locator('#email').waitFor()
  await check(page, 'sign-in phone')
  await tabTo(page, '#email')
  await page.keyboard.type(given.email)
  await tabTo(page, '#password')
  await page.keyboard.type(given.password)
  await page.keyboard.press('Enter')
  await page.locator('#view-upload').waitFor()
  await tabTo(page, '#subject')
  await page.keyboard.type(given.subjects[1])
  await page.keyboard.press('Escape') // closes the list of subjects, which else takes the next key
  await tabTo(page, '#files')
  const [chooser] = await Promise.all([page.waitForEvent('filechooser'), page.keyboard.press('Space')])
  await chooser.setFiles(given.files[1])
  await waitForText(page, '#upload-summary', given.summary)
  found.summary = await text(page, '#upload-summary')
  await check(page, 'upload phone')
  await picture(page, 'phone')

  await viewByKeys(page, 'history')
  await waitForText(page, '#history-note', /uploads, 0 not announced yet/)
  await check(page, 'history phone')
  const file = await downloaded(page, () => press(page, '#history-rows button[aria-label^="Download"]'))
  found.download = { name: file.name, hash: hashOf(file.path) }

  await viewByKeys(page, 'devices')
  await press(page, '#enrol-form button')
  await page.locator('#enrolled').waitFor()
  await tabTo(page, '#title-enrolled')
  found.scanned = await scanned(page)
  await check(page, 'devices phone')

  await viewByKeys(page, 'coverage')
  await waitForText(page, '#coverage-note', /uploads about/)
  await check(page, 'coverage phone')

  await viewByKeys(page, 'erasure')
  await tabTo(page, '#erase-subject')
  await page.keyboard.type(given.subjects[1])
  await page.keyboard.press('Escape')
  await page.keyboard.press('Enter')
  await page.locator('#confirm[open]').waitFor()
  await page.keyboard.type(given.subjects[1])
  await page.keyboard.press('Enter')
  await page.locator('#certificate').waitFor()
  await check(page, 'erasure phone')
  const saved = await downloaded(page, () => press(page, '#save-certificate'))
  found.certificate = readFileSync(saved.path, 'utf8')
  found.width = await page.evaluate(() => document.documentElement.scrollWidth)

  await press(page, '#sign-out', 'Shift+Tab')
  await page.locator('#email').waitFor()
  await page.context().close()
  return found
}

/**
 * Let the page see the first answer about identity providers as while they do not answer.
 *
 * It runs in the page. With a route of Playwright, which stops every request, half of the page's
 * modules did not come, once, on a busy machine.
 */
function firstAsIfAway() {
  const fetched = window.fetch
  let isFirst = true
  window.fetch = async (...given) => {
    const answer = await fetched(...given)
    if (!isFirst || !answer.url.endsWith('/auth/oidc')) return answer
    isFirst = false
    const { providers } = await answer.json()
    return Response.json({ providers: providers.map((one) => ({ ...one, authorization_endpoint: null })) })
  }
}

/** Sign in at an identity provider, whose page is not ours and is not watched. */
async function withProvider() {
  const context = await browser.newContext()
  context.setDefaultTimeout(HANG_MILLISECONDS)
  const page = await context.newPage()
  await page.addInitScript(firstAsIfAway)
  await page.goto(`${given.address}/ui`)
  await page.locator('#providers button').waitFor()
  const away = await page.locator('#providers button').textContent()
  await page.locator('#providers button:not([disabled])').click()
  await page.fill('input[name=sub]', 'ada')
  await page.keyboard.press('Enter')
  await page.locator('#view-upload, #problem').and(page.locator(':not([hidden])')).waitFor()
  const [cookie] = await context.cookies(`${given.address}/ui`)
  const found = { away, url: page.url(), cookie, problem: await page.locator('#problem').textContent(), kept: await page.evaluate(() => sessionStorage.length) }
  await context.close()
  return found
}

try {
  const mouse = await withMouse()
  const keys = await withKeys()
  const provider = await withProvider()
  const hosts = [...new Set(seen.hosts)]
  const metadata = [...new Set(seen.metadata)]
  console.log(JSON.stringify({ mouse, keys, provider, ...seen, hosts, metadata, phone_width: PHONE.width }))
} finally {
  await browser.close()
}
