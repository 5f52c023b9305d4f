// client ADDRESS:PORT N GOROUTINES: an ordinary Go client. N HTTP requests, each on a connection of its own, by so many
// goroutines; as a fourth argument, "hold" keeps bare connections until the end, "dial" closes each. Prints what went
// wrong, how often, how many worked, and the seconds.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sort"
	"strconv"
	"sync"
	"time"
)

func main() {
	n, _ := strconv.Atoi(os.Args[2])
	goroutines, _ := strconv.Atoi(os.Args[3])
	how := append(os.Args, "fetch")[4]
	var lock sync.Mutex
	var work sync.WaitGroup
	results := map[string]int{}
	var held []net.Conn
	slowest := time.Duration(0)
	jobs := make(chan int)
	start := time.Now()
	one := func() error {
		began := time.Now()
		connection, err := net.Dial("tcp", os.Args[1])
		lock.Lock()
		defer lock.Unlock()
		if took := time.Since(began); took > slowest {
			slowest = took
		}
		if err == nil && how == "hold" {
			held = append(held, connection)
		} else if err == nil {
			connection.Close()
		}
		return err
	}
	fetch := func() error {
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		answer, err := client.Get("http://" + os.Args[1] + "/")
		if err == nil {
			_, err = io.Copy(io.Discard, answer.Body)
			answer.Body.Close()
		}
		return err
	}
	for i := 0; i < goroutines; i++ {
		work.Add(1)
		go func() {
			defer work.Done()
			for range jobs {
				act := fetch
				if how != "fetch" {
					act = one
				}
				said := "worked"
				if err := act(); err != nil {
					said = err.Error()
				}
				lock.Lock()
				results[said]++
				lock.Unlock()
			}
		}()
	}
	for i := 0; i < n; i++ {
		jobs <- i
	}
	close(jobs)
	work.Wait()
	lines := []string{}
	for said, times := range results {
		lines = append(lines, fmt.Sprintf("%d %s", times, said))
	}
	sort.Strings(lines)
	for _, line := range lines {
		fmt.Println(line)
	}
	fmt.Println("seconds", time.Since(start).Seconds())
	fmt.Println("slowest", slowest.Milliseconds())
	_ = held
}
