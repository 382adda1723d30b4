// Verify a token over the HTTP door, with the standard library alone.
//
//	go run verify.go [SCOPE...] <token
//
// The value comes by standard input or in JETON_TOKEN. Exit status: 0 VALID,
// 1 refused, 3 nobody to ask.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

type answer struct {
	Verdict, Code, Detail, ID string
}

func client() *http.Client {
	path := os.Getenv("JETON_HTTP")
	if path == "" {
		path = "/run/jeton/jeton-http.sock"
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return &http.Client{
		Timeout:   time.Second,
		Transport: &http.Transport{DialContext: dial},
	}
}

// An error is no permission: whoever cannot ask refuses.
func verify(c *http.Client, token string, scopes []string) (*http.Response, *answer, error) {
	body, err := json.Marshal(map[string]any{"token": token, "scopes": scopes})
	if err != nil {
		return nil, nil, err
	}
	reply, err := c.Post("http://localhost/v1/verify", "application/json", bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	defer reply.Body.Close()
	a := new(answer)
	return reply, a, json.NewDecoder(reply.Body).Decode(a)
}

func main() {
	token, given := os.LookupEnv("JETON_TOKEN")
	if !given {
		all, _ := io.ReadAll(os.Stdin)
		token = strings.TrimSuffix(string(all), "\n")
	}
	scopes := append([]string{}, os.Args[1:]...)
	reply, a, err := verify(client(), token, scopes)
	if err != nil {
		fmt.Fprintln(os.Stderr, "refused: the sidecar cannot be asked:", err)
		os.Exit(3)
	}
	if reply.StatusCode != http.StatusOK {
		fmt.Fprintf(os.Stderr, "refused: %s %d: %s Retry-After=%s\n", a.Code,
			reply.StatusCode, a.Detail, reply.Header.Get("Retry-After"))
		os.Exit(1)
	}
	fmt.Println(a.Verdict, reply.StatusCode, a.ID)
}
