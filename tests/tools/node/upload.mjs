// Uploads a file with tus-js-client, and prints the upload's id.
// node upload.mjs ENDPOINT TOKEN FILE; resumes after errors that may pass.
import { createReadStream, statSync } from 'node:fs'
import { Upload } from 'tus-js-client'

const [endpoint, token, path] = process.argv.slice(2)

const upload = new Upload(createReadStream(path), {
  endpoint,
  headers: { Authorization: `Bearer ${token}` },
  uploadSize: statSync(path).size,
  metadata: { filename: 'night.avro' },
  retryDelays: Array(200).fill(50),
  onError: (error) => {
    console.error(error.message)
    process.exit(1)
  },
  onSuccess: ({ lastResponse }) => {
    console.log(lastResponse.getHeader('Healthingest-Upload-Id'))
  },
})
upload.start()
