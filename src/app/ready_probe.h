// The shell of task::Readiness: one connection to the worker's own listener, and the readings of its accept queue.
#pragma once

#include <functional>

#include "reactor/listener.h"
#include "reactor/tcp_stream.h"
#include "task/readiness.h"

namespace shoal::app {

class ReadyProbe final : private reactor::StreamHandler {
 public:
  /// `on_ready` is called once for each worker. `listener_fd` stays open while a worker is watched.
  ReadyProbe(reactor::Loop& loop, const task::Readiness::Options& options, Rng rng,
             std::function<void(task::ReadyBy)> on_ready);

  void worker_started(int listener_fd, const Endpoint& listener);
  void notify_ready();
  void stop();

 private:
  void on_accepted(reactor::TcpStream& stream) override { stream.close(); }
  void on_connected(reactor::TcpStream& stream) override;
  void on_failed(reactor::TcpStream& stream, reactor::StreamEnd why) override;
  void on_bytes(reactor::TcpStream&, Bytes) override {}  // A worker that speaks first has accepted; the queue says so.
  void on_end(reactor::TcpStream& stream) override;
  void on_written(reactor::TcpStream&) override {}
  void on_closed(reactor::TcpStream& stream, reactor::StreamEnd why) override;

  template <typename F>
  void drive(F&& f);
  void close();

  reactor::Loop& loop_;
  task::Readiness readiness_;
  task::ReadinessOutbox out_;
  std::function<void(task::ReadyBy)> on_ready_;
  reactor::StreamPool pool_;
  reactor::TcpStream* stream_ = nullptr;
  reactor::Timer timer_;
  int listener_fd_ = -1;
  Endpoint target_;
};

}  // namespace shoal::app
