package bus_test

import (
	"errors"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/behalf-dev/behalf/pkg/bus"
	"github.com/behalf-dev/behalf/pkg/fault"
)

func TestParseBytes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		bytes bus.Bytes
		says  string
	}{
		"8GiB": {8 << 30, "8 GiB"}, "8g": {8 << 30, "8 GiB"}, "1.5 GiB": {3 << 29, "1.5 GiB"}, "512MiB": {512 << 20, "512 MiB"},
		"8GB": {8_000_000_000, "7.5 GiB"}, "2T": {2 << 40, "2 TiB"}, "1048576": {1 << 20, "1 MiB"}, "100B": {100, "100 bytes"},
	} {
		got, err := bus.ParseBytes(text)
		if err != nil || got != want.bytes || got.String() != want.says {
			t.Errorf("%q is %d, %s, %v", text, got, got, err)
		}
	}
	for _, text := range []string{"", "GiB", "-1GiB", "0", "8X", "8GiBs", "8 G B", "much", "NaN", "inf", "9999999T", "1,5G"} {
		if got, err := bus.ParseBytes(text); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q is %d, %v", text, got, err)
		}
	}
}

func TestNoRoom(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		err  error
		want bool
	}{
		"nothing":            {nil, false},
		"another error":      {errors.New("insufficient storage"), false},
		"a server's refusal": {&jetstream.APIError{ErrorCode: 10047}, true},
		"a cluster's":        {&jetstream.APIError{ErrorCode: 10005, Description: "no suitable peers for placement, insufficient storage"}, true},
		"peers are offline":  {&jetstream.APIError{ErrorCode: 10005, Description: "no suitable peers for placement, peer offline"}, false},
		"no such stream":     {&jetstream.APIError{ErrorCode: jetstream.JSErrCodeStreamNotFound}, false},
	} {
		if got := bus.NoRoom(c.err); got != c.want {
			t.Errorf("%s: %t", what, got)
		}
	}
}
