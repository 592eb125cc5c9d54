// The workloads of bench/ in Go. One measurement a process:
//
//	program WORKLOAD SCALE     SCALE is JSON; prints the metrics as JSON
//	program -serve FD          a TCP echo server on a listening socket that it inherited
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"time"
)

// Scale is harness.Scale.
type Scale struct {
	Seconds     float64 `json:"seconds"`
	Parked      int     `json:"parked"`
	Sleepers    int     `json:"sleepers"`
	LateSeconds float64 `json:"late_seconds"`
	IdleSeconds float64 `json:"idle_seconds"`
}

type Metrics map[string]float64

type workload struct {
	procs   int
	measure func(Scale) Metrics
}

var workloads = map[string]workload{
	"pingpong":       {1, perOperation("pingpong", pingpong)},
	"pingpong-2":     {2, perOperation("pingpong-2", pingpong)},
	"buffered":       {1, perOperation("buffered", buffered)},
	"select":         {1, perOperation("select", selectTwo)},
	"yield":          {1, perOperation("yield", yield)},
	"spawn":          {1, perOperation("spawn", spawn)},
	"spawn-await":    {1, perOperation("spawn-await", spawnAwait)},
	"syscall":        {1, perOperation("syscall", stat)},
	"mutex":          {1, perOperation("mutex", mutex)},
	"mutex-with":     {1, perOperation("mutex-with", mutexWith)},
	"sieve":          {1, sieve},
	"ring":           {1, perOperation("ring", ring)},
	"fib":            {1, fib1},
	"fib-2":          {2, fib2},
	"memory":         {1, memory},
	"memory-million": {1, million},
	"late-hog":       {1, besideHog},
	"late-sleep":     {1, besideBlocker},
	"speedup":        {1, speedup},
	"sleeps":         {1, sleeps},
	"idle":           {1, idle},

	"cores-pairs":      {1, cores(coresPairs)},
	"cores-nowait":     {1, cores(coresNowait)},
	"cores-yield":      {1, cores(coresYield)},
	"cores-spawn":      {1, cores(coresSpawn)},
	"cores-mpmc":       {1, cores(coresMpmc)},
	"cores-service":    {1, cores(coresService)},
	"cores-late":       {1, coresBeside(2, computeUntil)},
	"cores-late-sleep": {1, coresBeside(4, blockUntil)},
}

// perOperation is harness.per_operation: nanoseconds of one of n operations.
func perOperation(name string, timed func(n int) time.Duration) func(Scale) Metrics {
	return func(scale Scale) Metrics {
		n := enough(timed, scale.Seconds)
		return Metrics{name: float64(timed(n)) / float64(n)}
	}
}

// enough is harness.enough: the n with which timed lasts about so long.
func enough(timed func(n int) time.Duration, seconds float64) int {
	n, target := 100, seconds*1e9
	for {
		took := float64(max(timed(n), 1))
		if took >= target/8 {
			return max(1, int(float64(n)*target/took))
		}
		n *= min(10, max(2, int(target/4/took)))
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: program WORKLOAD SCALE, or program -serve FD")
		os.Exit(2)
	}
	if os.Args[1] == "-serve" {
		runtime.GOMAXPROCS(1)
		serve(os.Args[2])
	}
	var scale Scale
	must(json.Unmarshal([]byte(os.Args[2]), &scale))
	w := workloads[os.Args[1]]
	runtime.GOMAXPROCS(w.procs)
	must(json.NewEncoder(os.Stdout).Encode(w.measure(scale)))
}
