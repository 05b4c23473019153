// SPDX-License-Identifier: Apache-2.0
// The stream protocols of the interop matrix on js-libp2p: /test/echo/1.0.0, /test/upper-after-eof/1.0.0 and
// /perf/1.0.0 (which has no package that installs today).

export const ECHO = '/test/echo/1.0.0'
export const UPPER = '/test/upper-after-eof/1.0.0'
export const PERF = '/perf/1.0.0'

const CHUNK = 64 * 1024

// Inbound streams are limited to 32 per protocol by default; the matrix opens 100 at once.
export const MANY = { maxInboundStreams: 1024, maxOutboundStreams: 1024 }

/** Calls onChunk(bytes) for everything read; resolves at the remote's end of writing, rejects on a reset. */
export function readToEnd (stream, onChunk) {
  return new Promise((resolve, reject) => {
    // 'end' comes after a reset and after an abort too, so the status decides.
    const finish = () => {
      if (stream.status === 'reset' || stream.status === 'aborted') {
        reject(new Error(`stream ${stream.status}`))
      } else if (stream.readBufferLength === 0) {
        resolve()
      }
    }
    stream.addEventListener('message', (evt) => {
      try {
        onChunk(evt.data.subarray())
      } catch (err) {
        reject(err)
        stream.abort(err)
        return
      }
      // When data and end came with the protocol negotiation, 'end' has fired before and will not come again.
      if (stream.remoteWriteStatus === 'closed') {
        finish()
      }
    })
    stream.addEventListener('end', finish)
    stream.addEventListener('close', (evt) => {
      evt.error != null ? reject(evt.error) : finish()
    })
    // The remote may have finished before the listeners were there.
    if (stream.readableEnded || stream.remoteWriteStatus === 'closed') {
      finish()
    }
  })
}

/** Sends `total` bytes made by fill(offset, chunk), waiting whenever the stream asks for it. */
async function sendAll (stream, total, fill) {
  for (let offset = 0; offset < total; offset += CHUNK) {
    const chunk = new Uint8Array(Math.min(CHUNK, total - offset))
    fill(offset, chunk)
    if (!stream.send(chunk)) {
      await stream.onDrain()
    }
  }
}

function pattern (seed) {
  return (offset, chunk) => {
    for (let i = 0; i < chunk.length; i++) {
      const at = offset + i
      chunk[i] = (at * 31 + (at >>> 8) * 7 + seed) & 0xff
    }
  }
}

/** Sends back what arrives while it arrives; ends its own side when the other side has ended. */
export async function serveEcho (stream) {
  const queue = []
  let ended = false
  let failure
  let wake = () => {}
  readToEnd(stream, (bytes) => {
    queue.push(bytes)
    wake()
  }).then(() => { ended = true }, (err) => { failure = err }).finally(() => wake())
  while (true) {
    if (failure != null) {
      throw failure
    }
    const bytes = queue.shift()
    if (bytes !== undefined) {
      if (!stream.send(bytes)) {
        await stream.onDrain()
      }
    } else if (ended) {
      break
    } else {
      await new Promise((resolve) => { wake = resolve })
    }
  }
  await stream.close()
}

/** Answers only after the other side has ended: works only if half-close works. */
export async function serveUpper (stream) {
  const chunks = []
  await readToEnd(stream, (bytes) => chunks.push(Buffer.from(bytes)))
  stream.send(Buffer.from(Buffer.concat(chunks).toString('utf8').toUpperCase()))
  await stream.close()
}

/** Eight bytes (big endian) say how much to send back; the rest of the request is counted only. */
export async function servePerf (stream) {
  const head = []
  await readToEnd(stream, (bytes) => {
    for (let i = 0; head.length < 8 && i < bytes.length; i++) {
      head.push(bytes[i])
    }
  })
  if (head.length < 8) {
    throw new Error('perf request shorter than 8 bytes')
  }
  await sendAll(stream, Number(Buffer.from(head).readBigUInt64BE(0)), () => {})
  await stream.close()
}

async function echoOne (connection, bytes, seed) {
  const stream = await connection.newStream(ECHO, MANY)
  const expect = pattern(seed)
  let received = 0
  const done = readToEnd(stream, (chunk) => {
    const wanted = new Uint8Array(chunk.length)
    expect(received, wanted)
    if (Buffer.compare(chunk, wanted) !== 0) {
      throw new Error(`stream ${seed}: echo differs within bytes ${received}..${received + chunk.length}`)
    }
    received += chunk.length
  })
  await Promise.all([done, sendAll(stream, bytes, expect).then(() => stream.close())])
  if (received !== bytes) {
    throw new Error(`stream ${seed}: ${received} of ${bytes} bytes came back`)
  }
}

export async function echo (connection, bytes, streams) {
  await Promise.all(Array.from({ length: streams }, (_, seed) => echoOne(connection, bytes, seed)))
}

export async function halfClose (connection) {
  const stream = await connection.newStream(UPPER)
  const chunks = []
  const done = readToEnd(stream, (bytes) => chunks.push(Buffer.from(bytes)))
  stream.send(Buffer.from('half-closed streams still answer'))
  await stream.close()
  await done
  const text = Buffer.concat(chunks).toString('utf8')
  if (text !== 'HALF-CLOSED STREAMS STILL ANSWER') {
    throw new Error(`unexpected answer after half-close: ${JSON.stringify(text)}`)
  }
}

async function perfOne (connection, upload, download) {
  const stream = await connection.newStream(PERF)
  const start = performance.now()
  let received = 0
  const done = readToEnd(stream, (bytes) => { received += bytes.length })
  const head = Buffer.alloc(8)
  head.writeBigUInt64BE(BigInt(download))
  stream.send(head)
  await sendAll(stream, upload, () => {})
  await stream.close()
  await done
  if (received !== download) {
    throw new Error(`perf: ${received} of ${download} bytes came back`)
  }
  return (upload + download) / 1e6 / ((performance.now() - start) / 1e3)
}

export async function perf (connection, upload, download) {
  return {
    upload_mb_s: upload > 0 ? round(await perfOne(connection, upload, 0)) : 0,
    download_mb_s: download > 0 ? round(await perfOne(connection, 0, download)) : 0
  }
}

function round (value) {
  return Math.round(value * 100) / 100
}
