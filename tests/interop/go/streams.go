// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const (
	echoProtocol  = protocol.ID("/test/echo/1.0.0")
	upperProtocol = protocol.ID("/test/upper-after-eof/1.0.0")
	perfProtocol  = protocol.ID("/perf/1.0.0")
	chunkSize     = 64 * 1024
)

func serveStreams(h host.Host) {
	handle := func(id protocol.ID, serve func(network.Stream) error) {
		h.SetStreamHandler(id, func(s network.Stream) {
			if err := serve(s); err != nil {
				fmt.Fprintf(os.Stderr, "%s: %v\n", id, err)
				_ = s.Reset()
				return
			}
			_ = s.Close()
		})
	}
	handle(echoProtocol, func(s network.Stream) error {
		_, err := io.CopyBuffer(struct{ io.Writer }{s}, struct{ io.Reader }{s}, make([]byte, chunkSize))
		return err
	})
	// Answers only after the other side has ended: works only if half-close works.
	handle(upperProtocol, func(s network.Stream) error {
		text, err := io.ReadAll(s)
		if err != nil {
			return err
		}
		_, err = s.Write(bytes.ToUpper(text))
		return err
	})
	handle(perfProtocol, func(s network.Stream) error {
		var wanted uint64
		if err := binary.Read(s, binary.BigEndian, &wanted); err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, s); err != nil {
			return err
		}
		if wanted > math.MaxInt64 {
			return errors.New("perf request too large")
		}
		return sendZeros(s, int64(wanted))
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func sendZeros(w io.Writer, count int64) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{w}, io.LimitReader(zeros{}, count), make([]byte, chunkSize))
	return err
}

func fill(chunk []byte, offset int64, seed int) {
	for i := range chunk {
		at := offset + int64(i)
		chunk[i] = byte(at*31 + (at>>8)*7 + int64(seed))
	}
}

func echo(ctx context.Context, h host.Host, p peer.ID, count int64, streams int) error {
	results := make(chan error, streams)
	for seed := range streams {
		go func() { results <- echoOne(ctx, h, p, count, seed) }()
	}
	var all error
	for range streams {
		all = errors.Join(all, <-results)
	}
	return all
}

func echoOne(ctx context.Context, h host.Host, p peer.ID, count int64, seed int) error {
	s, err := h.NewStream(ctx, p, echoProtocol)
	if err != nil {
		return err
	}
	defer s.Reset()
	sent := make(chan error, 1)
	go func() {
		chunk := make([]byte, chunkSize)
		for offset := int64(0); offset < count; offset += chunkSize {
			part := chunk[:min(chunkSize, count-offset)]
			fill(part, offset, seed)
			if _, err := s.Write(part); err != nil {
				sent <- err
				return
			}
		}
		sent <- s.CloseWrite()
	}()
	got, want := make([]byte, chunkSize), make([]byte, chunkSize)
	var received int64
	for {
		n, err := s.Read(got)
		fill(want[:n], received, seed)
		if !bytes.Equal(got[:n], want[:n]) {
			return fmt.Errorf("stream %d: echo differs within bytes %d..%d", seed, received, received+int64(n))
		}
		received += int64(n)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if received != count {
		return fmt.Errorf("stream %d: %d of %d bytes came back", seed, received, count)
	}
	return <-sent
}

func halfClose(ctx context.Context, h host.Host, p peer.ID) error {
	s, err := h.NewStream(ctx, p, upperProtocol)
	if err != nil {
		return err
	}
	defer s.Reset()
	if _, err := io.WriteString(s, "half-closed streams still answer"); err != nil {
		return err
	}
	if err := s.CloseWrite(); err != nil {
		return err
	}
	text, err := io.ReadAll(s)
	if err != nil {
		return err
	}
	if string(text) != "HALF-CLOSED STREAMS STILL ANSWER" {
		return fmt.Errorf("unexpected answer after half-close: %q", text)
	}
	return nil
}

func perf(ctx context.Context, h host.Host, p peer.ID, upload, download int64) (up, down float64, err error) {
	if upload > 0 {
		if up, err = perfOne(ctx, h, p, upload, 0); err != nil {
			return 0, 0, err
		}
	}
	if download > 0 {
		if down, err = perfOne(ctx, h, p, 0, download); err != nil {
			return 0, 0, err
		}
	}
	return up, down, nil
}

// perfOne returns megabytes per second.
func perfOne(ctx context.Context, h host.Host, p peer.ID, upload, download int64) (float64, error) {
	s, err := h.NewStream(ctx, p, perfProtocol)
	if err != nil {
		return 0, err
	}
	defer s.Reset()
	start := time.Now()
	if err := binary.Write(s, binary.BigEndian, uint64(download)); err != nil {
		return 0, err
	}
	if err := sendZeros(s, upload); err != nil {
		return 0, err
	}
	if err := s.CloseWrite(); err != nil {
		return 0, err
	}
	received, err := io.Copy(io.Discard, s)
	if err != nil {
		return 0, err
	}
	if received != download {
		return 0, fmt.Errorf("perf: %d of %d bytes came back", received, download)
	}
	return float64(upload+download) / 1e6 / time.Since(start).Seconds(), nil
}
