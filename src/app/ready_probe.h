// The shell of task::Readiness: one connection to the worker's own listener, the readings of its accept queue, and what
// can be said of a worker that does not come up.
#pragma once

#include <functional>

#include "app/worker_probe.h"
#include "base/log.h"
#include "config/config.h"
#include "reactor/listener.h"
#include "task/readiness.h"

namespace shoal::app {

class ReadyProbe final {
 public:
  /// `on_ready` is called once for each worker.
  ReadyProbe(reactor::Loop& loop, const config::Config& config, Log& log, Rng rng,
             std::function<void(task::ReadyBy)> on_ready);

  /// `group`: the worker's process group. `listener_fd` stays open while a worker is watched. `beside_another`: a
  /// worker that is ready accepts there too.
  void worker_started(pid_t group, int listener_fd, const Endpoint& listener, bool beside_another);
  void notify_ready();
  void stop();
  /// Of the last watch: connections of ours that were not accepted by the worker that is watched.
  [[nodiscard]] std::uint32_t taken_by_others() const { return readiness_.taken_by_others(); }

 private:
  template <typename F>
  void drive(F&& f);
  void on_result(WorkerProbe::Result result, int status);
  [[nodiscard]] task::Owner owner() const;
  void say_not_ready(const task::NotReadyYet& late);

  reactor::Loop& loop_;
  const config::Config& config_;
  Log& log_;
  task::Readiness readiness_;
  task::ReadinessOutbox out_;
  std::function<void(task::ReadyBy)> on_ready_;
  WorkerProbe probe_;
  reactor::Timer timer_;
  pid_t group_ = 0;
  int listener_fd_ = -1;
  Endpoint listener_;
};

}  // namespace shoal::app
