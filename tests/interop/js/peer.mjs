// SPDX-License-Identifier: Apache-2.0
// js-libp2p test peer. Usage: see ../README.md. One JSON object per line on standard output, logs on standard error.

import { parseArgs } from 'node:util'
import { identify, identifyPush } from '@libp2p/identify'
import { mdns } from '@libp2p/mdns'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import * as streams from './streams.mjs'

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean' },
    listen: { type: 'string', multiple: true, default: ['/ip4/127.0.0.1/tcp/0'] },
    mdns: { type: 'boolean', default: false },
    count: { type: 'string', default: '1' },
    bytes: { type: 'string', default: '1' },
    streams: { type: 'string', default: '1' },
    upload: { type: 'string', default: '0' },
    download: { type: 'string', default: '0' }
  }
})
const [action, address] = positionals

function print (object) {
  process.stdout.write(JSON.stringify({ v: 1, ...object }) + '\n')
}

/** Resolves when standard input ends: whoever started us has seen enough, or is gone. */
const inputEnded = new Promise((resolve) => {
  process.stdin.on('end', resolve).on('error', resolve).resume()
})

// node's own peer:discovery event also fires for peers learned by identify; only mDNS is of interest here.
function reportedMdns (components) {
  const service = mdns({ interval: 1000 })(components)
  service.addEventListener('peer', (evt) => print({
    type: 'discovered',
    peer: evt.detail.id.toString(),
    addresses: evt.detail.multiaddrs.map((a) => a.toString())
  }))
  return service
}

async function start () {
  const node = await createLibp2p({
    addresses: { listen: options.listen },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    peerDiscovery: options.mdns ? [reportedMdns] : [],
    // By default a sixth connection within a second from one address is reset; every case makes a new one.
    connectionManager: { inboundConnectionThreshold: 1000 },
    services: { identify: identify(), identifyPush: identifyPush(), ping: ping() }
  })
  const report = (serve) => (stream) => serve(stream).catch((err) => {
    console.error(`${stream.protocol}: ${err.message}`)
    stream.abort(err)
  })
  await node.handle(streams.ECHO, report(streams.serveEcho), streams.MANY)
  await node.handle(streams.UPPER, report(streams.serveUpper))
  await node.handle(streams.PERF, report(streams.servePerf))
  return node
}

function self (node) {
  return {
    peer: node.peerId.toString(),
    protocols: node.getProtocols(),
    addresses: node.getMultiaddrs().map((a) => a.toString())
  }
}

// What the other side told us: by identify after connecting, later by identify push.
function identified (detail) {
  return {
    peer: detail.peerId.toString(),
    protocols: detail.protocols,
    addresses: detail.listenAddrs.map((a) => a.toString()),
    agent: detail.agentVersion,
    observed: detail.observedAddr?.toString(),
    signed_addresses: detail.signedPeerRecord?.addresses.map((a) => a.toString()),
    remote: detail.connection.remoteAddr.toString()
  }
}

function identifiedOnce (node) {
  return new Promise((resolve) => {
    node.addEventListener('peer:identify', (evt) => resolve(identified(evt.detail)), { once: true })
  })
}

const actions = {
  async serve (node) {
    const peerEvent = (state) => (evt) => print({ type: 'peer', state, peer: evt.detail.toString() })
    node.addEventListener('peer:connect', peerEvent('connected'))
    node.addEventListener('peer:disconnect', peerEvent('disconnected'))
    node.addEventListener('peer:identify', (evt) => print({ type: 'identify', ...identified(evt.detail) }))
    const { peer, addresses } = self(node)
    print({ type: 'ready', peer, addresses })
    await inputEnded
  },

  async identify (node) {
    const result = identifiedOnce(node)
    await node.dial(multiaddr(address))
    print({ type: 'identify', ...(await result), self: self(node) })
    await inputEnded
  },

  async push (node) {
    const result = identifiedOnce(node)
    await node.dial(multiaddr(address))
    await result
    await node.handle('/test/pushed/1.0.0', (stream) => stream.close())
    print({ type: 'push', ok: true })
    await inputEnded
  },

  async ping (node) {
    for (let i = 0; i < Number(options.count); i++) {
      print({ type: 'ping', rtt_ms: await node.services.ping.ping(multiaddr(address)) })
    }
  },

  async echo (node) {
    const bytes = Number(options.bytes)
    const count = Number(options.streams)
    await streams.echo(await node.dial(multiaddr(address)), bytes, count)
    print({ type: 'echo', bytes, streams: count, ok: true })
  },

  async 'half-close' (node) {
    await streams.halfClose(await node.dial(multiaddr(address)))
    print({ type: 'half-close', ok: true })
  },

  async perf (node) {
    const connection = await node.dial(multiaddr(address))
    print({ type: 'perf', ...(await streams.perf(connection, Number(options.upload), Number(options.download))) })
  }
}

if (!Object.hasOwn(actions, action) || (action !== 'serve' && address === undefined)) {
  console.error(`usage: peer.mjs serve | ${Object.keys(actions).slice(1).join(' | ')} ADDR [options]`)
  process.exit(2)
}
try {
  const node = await start()
  await actions[action](node)
  await node.stop()
  process.exit(0)
} catch (err) {
  console.error(`${action}: ${err.message}`)
  process.exit(1)
}
