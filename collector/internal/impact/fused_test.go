package impact

import (
	"os"
	"os/exec"
	"regexp"
	"testing"
)

// Where Go fuses a product with a sum, the last digit is another than on machines that do not, and than Python's.
func TestNoProductIsFusedWithASumOnArm64(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles for arm64, the standard library with it")
	}
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("go is not on PATH")
	}
	build := exec.Command(tool, "build", "-gcflags=-S", ".")
	build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	listing, err := build.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, listing)
	}
	if len(listing) < 100_000 {
		t.Fatalf("%d bytes are no listing of the package", len(listing))
	}
	for _, line := range regexp.MustCompile(`\(\S+\.go:\d+\)\s+FN?M(ADD|SUB)[DS]`).FindAll(listing, -1) {
		t.Errorf("fused: %s", line)
	}
}
