package egress_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/behalf-dev/behalf/pkg/egress"
	"github.com/behalf-dev/behalf/pkg/fault"
)

func ExampleDialer_Client() {
	client := egress.New(egress.Config{}).Client(10 * time.Second)

	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://169.254.169.254/latest/meta-data", http.NoBody)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := client.Do(req)
	if err == nil {
		_ = resp.Body.Close()
	}

	denied, ok := errors.AsType[egress.Denied](err)
	fmt.Println(ok, denied.Reason, denied.Addr)
	fmt.Println(fault.KindOf(err), "-", fault.Safe(err))
	// Output:
	// true metadata 169.254.169.254:80
	// forbidden - this address is not allowed (metadata)
}

func ExampleDialer_Judge() {
	dialer := egress.New(egress.Config{
		Allow: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:4000")},
	})
	for _, at := range []string{"1.1.1.1:443", "1.1.1.1:25", "127.0.0.1:4000", "127.0.0.1:4001", "[64:ff9b::a9fe:a9fe]:80"} {
		if denied, ok := errors.AsType[egress.Denied](dialer.Judge(netip.MustParseAddrPort(at))); ok {
			fmt.Println(at, "is denied:", denied.Reason)
			continue
		}
		fmt.Println(at, "passes")
	}
	// Output:
	// 1.1.1.1:443 passes
	// 1.1.1.1:25 is denied: port
	// 127.0.0.1:4000 passes
	// 127.0.0.1:4001 is denied: loopback
	// [64:ff9b::a9fe:a9fe]:80 is denied: reserved
}
