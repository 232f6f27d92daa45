// Uploads a file with types that openapi-typescript has made of our document, and prints its state.
// Compiled by tsc; node client.mjs SERVER TOKEN FILE
import { readFile } from 'node:fs/promises'
import type { components, paths } from './api.js'

type Receipt = components['schemas']['ReceiptView']
type Problem = components['schemas']['ProblemView']
type Upload = paths['/v1/uploads/{upload_id}']['get']['responses'][200]['content']['application/json']
type Report = components['schemas']['ReportingOutcome']

const [server, token, path] = process.argv.slice(2) as [string, string, string]
const headers = { Authorization: `Bearer ${token}` }

async function answered<T>(response: Response): Promise<T> {
  if (response.ok) return (await response.json()) as T
  const problem = (await response.json()) as Problem
  throw new Error(`${problem.status} ${problem.title}: ${problem.detail}`)
}

const receipt = await answered<Receipt>(
  await fetch(`${server}/v1/upload`, {
    method: 'POST',
    headers: { ...headers, 'Content-Type': 'application/avro' },
    body: await readFile(path),
  }),
)
const upload = await answered<Upload>(
  await fetch(`${server}/v1/uploads/${receipt.upload_id}`, { headers }),
)
const states: Upload['state'][] = ['storing', 'stored', 'announced', 'lost']
if (!states.includes(upload.state)) throw new Error('an unknown state')
console.log(upload.upload_id, upload.record_count, upload.outcomes.length)

export const report: Report = { consumer: 'lake', state: 'processed' }
// @ts-expect-error a state that there is not
export const wrong: Report = { consumer: 'lake', state: 'begun' }
// @ts-expect-error a field that there is not
export const missing = receipt.upload
