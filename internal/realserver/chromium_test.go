package realserver

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/remote"
)

// TestChromium shows a page that only our server has, over a certificate that the browser was told of,
// and refuses one that it was not told of.
func TestChromium(t *testing.T) {
	site, other := Nginx(t, NginxOptions{Body: "this is ours"}), Nginx(t, NginxOptions{Body: "this is not"})
	b := Chromium(t, ChromiumOptions{TrustCert: site.cert})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ctx, cancelAllocator := remote.NewAllocator(ctx, b.URL, remote.NoModifyURL)
	defer cancelAllocator()
	ctx, cancelTab := chromedp.NewContext(ctx)
	defer cancelTab()
	if err := chromedp.Do(ctx, chromedp.Navigate("https://"+site.TLSAddr+"/")); err != nil {
		t.Fatal(err)
	}
	if text, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS("body"))); err != nil || text != "this is ours" {
		t.Errorf("%q, %v", text, err)
	}
	if err := chromedp.Do(ctx, chromedp.Navigate("https://"+other.TLSAddr+"/")); err == nil || !strings.Contains(err.Error(), "ERR_CERT") {
		t.Errorf("a certificate that nobody told it of: %v", err)
	}
}
