package main

import (
	"os"
	"regexp"
	"runtime"
	"sort"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const (
	warmUp = 1000
	crowd  = 1000000
	nap    = time.Millisecond
	block  = time.Second
	settle = 200 * time.Millisecond
	stride = 7919
)

func duration(seconds float64) time.Duration {
	return time.Duration(seconds * float64(time.Second))
}

// cpuTime is that of the whole process so far, in seconds.
func cpuTime() float64 {
	var usage syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

// ---- memory

var rssLine = regexp.MustCompile(`(?m)^Rss:\s+(\d+) kB`)

func resident() int {
	text, err := os.ReadFile("/proc/self/smaps_rollup")
	must(err)
	kb, err := strconv.Atoi(string(rssLine.FindSubmatch(text)[1]))
	must(err)
	return kb * 1024
}

func parked(n int) int {
	gate := make(chan struct{})
	var waiting sync.WaitGroup
	waiting.Add(n)
	before := resident()
	for i := 0; i < n; i++ {
		go func() {
			waiting.Done()
			<-gate
		}()
	}
	waiting.Wait()
	runtime.Gosched() // the last one parks too
	grown := resident() - before
	close(gate)
	return grown
}

func memory(scale Scale) Metrics {
	parked(warmUp)
	runtime.GC()
	return Metrics{"memory": float64(parked(scale.Parked)) / float64(scale.Parked)}
}

func million(Scale) Metrics {
	parked(warmUp)
	runtime.GC()
	return Metrics{"memory-million": float64(parked(crowd)) / crowd}
}

// ---- lateness

func beside(other func(end time.Time), seconds float64) Metrics {
	end := time.Now().Add(duration(seconds))
	var late []float64
	done := make(chan struct{})
	go func() {
		for {
			start := time.Now()
			if !start.Before(end) {
				break
			}
			time.Sleep(nap)
			late = append(late, (time.Since(start)-nap).Seconds()*1e3)
		}
		close(done)
	}()
	go other(end)
	<-done
	sort.Float64s(late)
	last := len(late) - 1
	return Metrics{"p99": late[len(late)*99/100], "max": late[last], "naps": float64(len(late))}
}

func besideHog(scale Scale) Metrics {
	return beside(func(end time.Time) {
		for time.Now().Before(end) {
			loop(10000)
		}
	}, scale.LateSeconds)
}

func besideBlocker(scale Scale) Metrics {
	return beside(func(end time.Time) {
		for time.Now().Before(end) {
			rest := syscall.NsecToTimespec(int64(block))
			for syscall.Nanosleep(&rest, &rest) == syscall.EINTR {
			}
			time.Sleep(nap)
		}
	}, scale.LateSeconds)
}

// ---- sleeps, idle

func sleeps(scale Scale) Metrics {
	n := scale.Sleepers
	var wg sync.WaitGroup
	start := cpuTime()
	wg.Add(n)
	for i := 0; i < n; i++ {
		seconds := 1 + float64(i*stride%n)/float64(n)
		go func() {
			time.Sleep(duration(seconds))
			wg.Done()
		}()
	}
	wg.Wait()
	return Metrics{"sleeps": (cpuTime() - start) / float64(n) * 1e6}
}

func idle(scale Scale) Metrics {
	gate := make(chan struct{})
	go func() { <-gate }()
	time.Sleep(settle)
	start := cpuTime()
	time.Sleep(duration(scale.IdleSeconds))
	used := cpuTime() - start
	close(gate)
	return Metrics{"idle": used / scale.IdleSeconds * 1e6}
}
