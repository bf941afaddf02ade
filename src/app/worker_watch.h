// What is looked at while a worker is ready: its health, and the accept queue of the service socket with the weight
// that follows from it. The shell of task::Health and task::LoadFeedback.
#pragma once

#include "app/service_socket.h"
#include "app/worker_probe.h"
#include "base/log.h"
#include "config/config.h"
#include "task/health.h"
#include "task/load_feedback.h"
#include "task/queue_gauge.h"

namespace shoal::app {

class WorkerWatchHandler {
 public:
  virtual ~WorkerWatchHandler() = default;
  /// Both have been said in the log.
  virtual void on_unhealthy() = 0;
  virtual void on_healthy() = 0;
  /// WorkerWatch::weight has changed. Only while the worker is ready and healthy.
  virtual void on_weight() = 0;
};

class WorkerWatch {
 public:
  WorkerWatch(reactor::Loop& loop, const config::Config& config, Log& log, Rng rng, WorkerWatchHandler& handler);

  /// The service socket is there, and stays until `close`.
  void open(const ServiceSocket& service);
  /// Nothing more is looked at.
  void close();
  /// Which generation of the worker is ready, 0 = none. Another one than before begins anew, as healthy and with the
  /// whole weight. Costs nothing when nothing has changed.
  void follow(std::uint32_t ready_generation);

  /// Not known where the worker binds the port itself.
  [[nodiscard]] const task::QueueGauge& queue() const { return gauge_; }
  /// The weight to announce.
  [[nodiscard]] std::uint16_t weight() const { return feedback_.weight(); }
  [[nodiscard]] const task::Health& health() const { return health_; }

 private:
  void read_queue();
  [[nodiscard]] bool read_gauge();
  void on_result(WorkerProbe::Result result, int status);
  void on_joined_result(WorkerProbe::Result result);
  template <typename F>
  void drive(F&& f);
  void carry_out(const task::HealthEffect& effect);
  void start_probe();
  void look_at_joined();
  [[nodiscard]] bool is_crowded() const;

  reactor::Loop& loop_;
  const config::Config& config_;
  Log& log_;
  WorkerWatchHandler& handler_;
  task::Health health_;
  task::HealthOutbox out_;
  task::LoadFeedback feedback_;
  task::QueueGauge gauge_;
  task::QueueReading reading_;
  WorkerProbe probe_;
  reactor::Timer health_timer_;
  reactor::Timer queue_timer_;
  int fd_ = -1;
  std::uint32_t generation_ = 0;
  bool untried_told_ = false;
};

}  // namespace shoal::app
