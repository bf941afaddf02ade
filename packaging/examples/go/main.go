// Serves on the socket that shoal passes, and ends its requests well.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
)

func answer(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	w.Header().Set("X-Worker", os.Getenv("SHOAL_PORT"))
	fmt.Fprintln(w, "hello from go")
}

func main() {
	fd, err := strconv.Atoi(os.Getenv("SHOAL_LISTENER_FD"))
	if err != nil {
		log.Fatal("no SHOAL_LISTENER_FD: ", err)
	}
	listener, err := net.FileListener(os.NewFile(uintptr(fd), "service"))
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(answer)}
	stopped := make(chan struct{})
	go func() {
		asked := make(chan os.Signal, 1)
		signal.Notify(asked, syscall.SIGTERM)
		<-asked
		server.Shutdown(context.Background())
		close(stopped)
	}()
	if err := server.Serve(listener); err != http.ErrServerClosed {
		log.Fatal(err)
	}
	<-stopped
}
