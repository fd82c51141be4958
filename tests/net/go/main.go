// SPDX-License-Identifier: GPL-2.0-or-later

// An HTTP server and the client that checks it, as one static program: Go makes its
// system calls without libc and keeps its sockets in one edge-triggered epoll.
//
//	peer server ADDRESS:PORT
//	peer client URL
//
// The server echoes the body of a POST; the client posts bodies of 1 byte to 1 MB from
// sixteen goroutines, with and without keep-alive, and prints the number that came back.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

func serve(address string) error {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Write(body)
	})
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Println("ready", listener.Addr())
	return http.Serve(listener, nil)
}

func post(client *http.Client, url string, size int) error {
	body := bytes.Repeat([]byte{byte(size), byte(size >> 8), 'x'}, size/3+1)[:size]
	response, err := client.Post(url, "application/octet-stream", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	back, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if !bytes.Equal(body, back) {
		return fmt.Errorf("%d bytes came back as %d others", size, len(back))
	}
	return nil
}

func check(url string, keepAlive bool) (int32, error) {
	client := &http.Client{
		Timeout:   20 * time.Second,
		Transport: &http.Transport{DisableKeepAlives: !keepAlive, MaxIdleConnsPerHost: 16},
	}
	var wait sync.WaitGroup
	var done int32
	errors := make(chan error, 16)
	for worker := 0; worker < 16; worker++ {
		wait.Add(1)
		go func(worker int) {
			defer wait.Done()
			for size := worker + 1; size <= 1<<20; size *= 4 {
				if err := post(client, url, size); err != nil {
					errors <- err
					return
				}
				atomic.AddInt32(&done, 1)
			}
		}(worker)
	}
	wait.Wait()
	select {
	case err := <-errors:
		return done, err
	default:
		return done, nil
	}
}

func run(arguments []string) error {
	if len(arguments) != 3 {
		return fmt.Errorf("usage: peer server ADDRESS:PORT | peer client URL")
	}
	if arguments[1] == "server" {
		return serve(arguments[2])
	}
	for _, keepAlive := range []bool{true, false} {
		done, err := check(arguments[2], keepAlive)
		if err != nil {
			return err
		}
		fmt.Println("posts", done)
	}
	return nil
}

func main() {
	if err := run(os.Args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
