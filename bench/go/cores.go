package main

import (
	"encoding/json"
	"runtime"
	"sort"
	"sync"
	"syscall"
	"time"
)

const rounds = 100

// cores is cores.throughput: operations on 1 proc, on 2 and on all.
func cores(work func(procs int, end time.Time) int) func(Scale) Metrics {
	return func(scale Scale) Metrics {
		rate := func(procs int, seconds float64) float64 {
			runtime.GOMAXPROCS(procs)
			return float64(work(procs, time.Now().Add(duration(seconds)))) / seconds
		}
		rate(1, scale.Seconds/4)
		one, two := rate(1, scale.Seconds), rate(2, scale.Seconds)
		all := rate(runtime.NumCPU(), scale.Seconds)
		return Metrics{"one": 1e9 / one, "2": two / one, "all": all / one}
	}
}

func total(n int, f func() int) int {
	counts := make(chan int)
	for i := 0; i < n; i++ {
		go func() { counts <- f() }()
	}
	sum := 0
	for i := 0; i < n; i++ {
		sum += <-counts
	}
	return sum
}

// until counts calls of f, which does rounds operations.
func until(end time.Time, f func()) int {
	n := 0
	for time.Now().Before(end) {
		f()
		n += rounds
	}
	return n
}

func coresPairs(procs int, end time.Time) int {
	return total(4*procs, func() int {
		a, b := make(chan struct{}), make(chan struct{})
		go func() {
			for v := range a {
				b <- v
			}
		}()
		defer close(a)
		return until(end, func() {
			for i := 0; i < rounds; i++ {
				a <- struct{}{}
				<-b
			}
		})
	})
}

func coresNowait(procs int, end time.Time) int {
	return total(procs, func() int {
		ch := make(chan struct{}, 1)
		return until(end, func() {
			for i := 0; i < rounds; i++ {
				select {
				case ch <- struct{}{}:
				default:
				}
				select {
				case <-ch:
				default:
				}
			}
		})
	})
}

func coresYield(procs int, end time.Time) int {
	return total(procs, func() int {
		return until(end, func() {
			for i := 0; i < rounds; i++ {
				runtime.Gosched()
			}
		})
	})
}

func coresSpawn(procs int, end time.Time) int {
	return total(procs, func() int {
		var done [rounds]chan struct{}
		return until(end, func() {
			for i := range done {
				c := make(chan struct{})
				done[i] = c
				go close(c)
			}
			for _, c := range done {
				<-c
			}
		})
	})
}

func coresMpmc(procs int, end time.Time) int {
	ch := make(chan int, 1024)
	var consumers sync.WaitGroup
	consumers.Add(procs)
	for i := 0; i < procs; i++ {
		go func() {
			for range ch {
			}
			consumers.Done()
		}()
	}
	n := total(procs, func() int {
		return until(end, func() {
			for i := 0; i < rounds; i++ {
				ch <- i
			}
		})
	})
	close(ch)
	consumers.Wait()
	return n
}

type item struct {
	ID  int `json:"id"`
	Qty int `json:"qty"`
}

type request struct {
	User  int    `json:"user"`
	Items []item `json:"items"`
}

type job struct {
	text  []byte
	reply chan []byte
}

func serveJob(text []byte) []byte {
	var r request
	must(json.Unmarshal(text, &r))
	sum := 0
	for _, it := range r.Items {
		sum += it.Qty
	}
	answer, err := json.Marshal(map[string]int{"sum": sum})
	must(err)
	return answer
}

func coresService(procs int, end time.Time) int {
	r := request{User: 7}
	for i := 0; i < 12; i++ {
		r.Items = append(r.Items, item{i, i * 2})
	}
	text, err := json.Marshal(r)
	must(err)
	queue := make(chan job, 64)
	defer close(queue)
	for i := 0; i < 8*procs; i++ {
		go func() {
			for j := range queue {
				j.reply <- serveJob(j.text)
			}
		}()
	}
	return total(16*procs, func() int {
		reply := make(chan []byte, 1)
		n := 0
		for time.Now().Before(end) {
			queue <- job{text, reply}
			<-reply
			n++
		}
		return n
	})
}

func coresBeside(a int, other func(end time.Time)) func(Scale) Metrics {
	return func(scale Scale) Metrics {
		procs := runtime.NumCPU()
		runtime.GOMAXPROCS(procs)
		end := time.Now().Add(duration(scale.LateSeconds))
		for i := 0; i < a*procs; i++ {
			go other(end)
		}
		var late []float64
		for start := time.Now(); start.Before(end); start = time.Now() {
			time.Sleep(nap)
			late = append(late, (time.Since(start)-nap).Seconds()*1e3)
		}
		sort.Float64s(late)
		return Metrics{"p99": late[len(late)*99/100], "max": late[len(late)-1]}
	}
}

func computeUntil(end time.Time) {
	for time.Now().Before(end) {
		loop(10000)
	}
}

func blockUntil(end time.Time) {
	for time.Now().Before(end) {
		rest := syscall.NsecToTimespec(int64(time.Second))
		for syscall.Nanosleep(&rest, &rest) == syscall.EINTR {
		}
	}
}
