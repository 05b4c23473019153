// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/rand"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	basichost "github.com/libp2p/go-libp2p/p2p/host/basic"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
)

// newHost puts together what libp2p.New makes for TCP, Noise and yamux. Calling libp2p.New itself would also compile
// QUIC, WebRTC and WebTransport, which doubles the build time of this program.
func newHost(listen []string) (host.Host, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, err
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return nil, err
	}
	store, err := pstoremem.NewPeerstore()
	if err != nil {
		return nil, err
	}
	if err := store.AddPrivKey(id, key); err != nil {
		return nil, err
	}
	if err := store.AddPubKey(id, key.GetPublic()); err != nil {
		return nil, err
	}
	// No limits: 64 inbound streams per peer and protocol are the default, the matrix opens 100.
	resources := &network.NullResourceManager{}
	bus := eventbus.NewBus()
	net, err := swarm.NewSwarm(id, store, bus, swarm.WithResourceManager(resources))
	if err != nil {
		return nil, err
	}
	muxers := []upgrader.StreamMuxer{{ID: yamux.ID, Muxer: yamux.DefaultTransport}}
	secure, err := noise.New(noise.ID, key, muxers)
	if err != nil {
		return nil, err
	}
	upgrade, err := upgrader.New([]sec.SecureTransport{secure}, muxers, nil, resources, nil)
	if err != nil {
		return nil, err
	}
	transport, err := tcp.NewTCPTransport(upgrade, resources, nil)
	if err != nil {
		return nil, err
	}
	if err := net.AddTransport(transport); err != nil {
		return nil, err
	}
	addresses := make([]ma.Multiaddr, 0, len(listen))
	for _, text := range listen {
		address, err := ma.NewMultiaddr(text)
		if err != nil {
			return nil, err
		}
		addresses = append(addresses, address)
	}
	if err := net.Listen(addresses...); err != nil {
		return nil, err
	}
	h, err := basichost.NewHost(net, &basichost.HostOpts{
		EventBus: bus, EnablePing: true, UserAgent: "kith-interop-go", ProtocolVersion: "ipfs/0.1.0",
	})
	if err != nil {
		return nil, err
	}
	h.Start()
	return h, nil
}
