// SPDX-License-Identifier: Apache-2.0

// Command peer is the go-libp2p test peer of the interop matrix. Usage: see ../README.md.
// It prints one JSON object per line on standard output and logs on standard error.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	ma "github.com/multiformats/go-multiaddr"
)

type object map[string]any

type options struct {
	listen           listenFlag
	mdns             bool
	count            int
	bytes            int64
	streams          int
	upload, download int64
}

type listenFlag []string

func (l *listenFlag) String() string { return fmt.Sprint(*l) }

func (l *listenFlag) Set(value string) error {
	*l = append(*l, value)
	return nil
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	const usage = "usage: peer serve | identify|push|ping|echo|half-close|perf ADDR [options]"
	if len(args) == 0 || (args[0] != "serve" && len(args) < 2) {
		return errors.New(usage)
	}
	action, args := args[0], args[1:]
	var address string
	if action != "serve" {
		address, args = args[0], args[1:]
	}
	var opt options
	flags := flag.NewFlagSet(action, flag.ContinueOnError)
	flags.Bool("json", true, "accepted for symmetry; the output is always JSON")
	flags.Var(&opt.listen, "listen", "multiaddr to listen on")
	flags.BoolVar(&opt.mdns, "mdns", false, "announce and look for peers with mDNS")
	flags.IntVar(&opt.count, "count", 1, "pings to send")
	flags.Int64Var(&opt.bytes, "bytes", 1, "bytes per echo stream")
	flags.IntVar(&opt.streams, "streams", 1, "parallel echo streams")
	flags.Int64Var(&opt.upload, "upload", 0, "bytes to upload")
	flags.Int64Var(&opt.download, "download", 0, "bytes to download")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if len(opt.listen) == 0 {
		opt.listen = listenFlag{"/ip4/127.0.0.1/tcp/0"}
	}
	h, err := newHost(opt.listen)
	if err != nil {
		return err
	}
	defer h.Close()
	serveStreams(h)

	if action == "serve" {
		return serve(h, opt.mdns)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	info, err := peer.AddrInfoFromString(address)
	if err != nil {
		return err
	}
	// Subscribed before connecting: Connect returns after identify, and events are not replayed.
	sub, err := h.EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted))
	if err != nil {
		return err
	}
	defer sub.Close()
	if err := h.Connect(ctx, *info); err != nil {
		return err
	}

	switch action {
	case "identify":
		return identify(ctx, h, sub)
	case "push":
		return push(h)
	case "ping":
		return pings(ctx, h, info.ID, opt.count)
	case "echo":
		if err := echo(ctx, h, info.ID, opt.bytes, opt.streams); err != nil {
			return err
		}
		return output(object{"type": "echo", "bytes": opt.bytes, "streams": opt.streams, "ok": true})
	case "half-close":
		if err := halfClose(ctx, h, info.ID); err != nil {
			return err
		}
		return output(object{"type": "half-close", "ok": true})
	case "perf":
		up, down, err := perf(ctx, h, info.ID, opt.upload, opt.download)
		if err != nil {
			return err
		}
		return output(object{"type": "perf", "upload_mb_s": up, "download_mb_s": down})
	}
	return errors.New(usage)
}

func output(o object) error {
	o["v"] = 1
	line, err := json.Marshal(o)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(append(line, '\n'))
	return err
}

// waitForInputEnd returns when whoever started us has seen enough, or is gone.
func waitForInputEnd() {
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func texts(addresses []ma.Multiaddr) []string {
	out := make([]string, 0, len(addresses))
	for _, a := range addresses {
		out = append(out, a.String())
	}
	return out
}

func self(h host.Host) object {
	full, _ := peer.AddrInfoToP2pAddrs(&peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()})
	return object{"peer": h.ID().String(), "protocols": h.Mux().Protocols(), "addresses": texts(full)}
}

// identified is what the other side told us: by identify after connecting, later by identify push.
func identified(e event.EvtPeerIdentificationCompleted) object {
	o := object{
		"type": "identify", "peer": e.Peer.String(), "protocols": e.Protocols, "addresses": texts(e.ListenAddrs),
		"agent": e.AgentVersion, "remote": e.Conn.RemoteMultiaddr().String(), "local": e.Conn.LocalMultiaddr().String(),
	}
	if e.ObservedAddr != nil {
		o["observed"] = e.ObservedAddr.String()
	}
	if e.SignedPeerRecord != nil {
		if record, err := e.SignedPeerRecord.Record(); err == nil {
			if r, ok := record.(*peer.PeerRecord); ok {
				o["signed_addresses"] = texts(r.Addrs)
			}
		}
	}
	return o
}

type discovered struct{}

func (discovered) HandlePeerFound(info peer.AddrInfo) {
	_ = output(object{"type": "discovered", "peer": info.ID.String(), "addresses": texts(info.Addrs)})
}

func serve(h host.Host, withMdns bool) error {
	sub, err := h.EventBus().Subscribe([]any{
		new(event.EvtPeerIdentificationCompleted), new(event.EvtPeerConnectednessChanged),
	})
	if err != nil {
		return err
	}
	defer sub.Close()
	me := self(h)
	if err := output(object{"type": "ready", "peer": me["peer"], "addresses": me["addresses"]}); err != nil {
		return err
	}
	if withMdns {
		service := mdns.NewMdnsService(h, "", discovered{})
		if err := service.Start(); err != nil {
			return err
		}
		defer service.Close()
	}
	go func() {
		for e := range sub.Out() {
			switch e := e.(type) {
			case event.EvtPeerIdentificationCompleted:
				_ = output(identified(e))
			case event.EvtPeerConnectednessChanged:
				state := "disconnected"
				if e.Connectedness == network.Connected {
					state = "connected"
				}
				_ = output(object{"type": "peer", "state": state, "peer": e.Peer.String()})
			}
		}
	}()
	waitForInputEnd()
	return nil
}

func identify(ctx context.Context, h host.Host, sub event.Subscription) error {
	select {
	case e := <-sub.Out():
		o := identified(e.(event.EvtPeerIdentificationCompleted))
		o["self"] = self(h)
		if err := output(o); err != nil {
			return err
		}
	case <-ctx.Done():
		return errors.New("no identify answer")
	}
	waitForInputEnd()
	return nil
}

func push(h host.Host) error {
	h.SetStreamHandler("/test/pushed/1.0.0", func(s network.Stream) { _ = s.Close() })
	if err := output(object{"type": "push", "ok": true}); err != nil {
		return err
	}
	waitForInputEnd()
	return nil
}

func pings(ctx context.Context, h host.Host, p peer.ID, count int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := ping.Ping(ctx, h, p)
	for range count {
		result, ok := <-results
		if !ok {
			return errors.New("ping ended early")
		}
		if result.Error != nil {
			return result.Error
		}
		if err := output(object{"type": "ping", "rtt_ms": float64(result.RTT) / float64(time.Millisecond)}); err != nil {
			return err
		}
	}
	return nil
}
