// The processes of the worker: what starts each of its generations, signals it, hears from it and waits for its end.
// Decides nothing; every number of a generation comes from the one who asks for it.
//
// A generation is a process group: its leader, and whatever the leader starts without leaving the group. It has exited
// when the leader has, and is gone when nobody of the group is left.
//
// Every orphan below us becomes our child (a subreaper does what PID 1 does anyway). So a group's end is seen when its
// last process is waited for, and a descendant that has left the group does not outlive the task: end_all() ends it.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "admin/status.h"
#include "app/ready_probe.h"
#include "app/service_socket.h"
#include "app/worker_output.h"
#include "config/config.h"
#include "reactor/loop.h"
#include "reactor/notify_socket.h"
#include "reactor/process.h"
#include "reactor/reaper.h"
#include "task/worker_env.h"

namespace shoal::app {

/// What is told of generations. A call may ask for anything.
class WorkerHandler {
 public:
  virtual ~WorkerHandler() = default;
  virtual void on_worker_started(std::uint32_t generation, pid_t pid) = 0;
  /// `exit_code`: 126 not executable, 127 not found. It has been said in the log. Nothing else comes of this
  /// generation.
  virtual void on_worker_not_started(std::uint32_t generation, int exit_code) = 0;
  virtual void on_worker_ready(std::uint32_t generation, task::ReadyBy by) = 0;
  virtual void on_worker_exit(std::uint32_t generation, const reactor::ExitStatus& status) = 0;
  /// After its exit, often at once.
  virtual void on_worker_gone(std::uint32_t generation) = 0;
};

class WorkerProcesses {
 public:
  /// At once: one that serves, one that comes or goes, and some that nothing can end.
  static constexpr std::size_t kGenerationsMax = 6;

  /// To be made before the first child of the process.
  WorkerProcesses(reactor::Loop& loop, const config::Config& config, ProcessLog& log, Rng rng, WorkerHandler& handler);

  /// The notify socket. The error is finished for the log.
  [[nodiscard]] Result<void> open();

  /// Starts the worker with its listener, where one is passed, as descriptor 3 and watches until it is ready. Command
  /// line and environment are made anew each time. One at a time is watched: the last that was started.
  void start(std::uint32_t generation, ServiceSocket& service, IpAddress advertised);
  /// Nothing more is asked or told about readiness.
  void stop_watching() { ready_probe_.stop(); }
  /// Connections of ours that should have shown that the last generation accepts, and that another one accepted.
  [[nodiscard]] std::uint32_t taken_by_others() const { return ready_probe_.taken_by_others(); }
  /// The leader of some generation runs.
  [[nodiscard]] bool any_runs() const;
  /// The workers of `out`. `serving` is the supervisor's generation.
  void fill_status(Instant now, std::uint32_t serving, bool is_ready, admin::TaskStatus& out) const;
  /// Nothing happens where it is gone. `whole_group`: not the leader alone.
  void signal(std::uint32_t generation, int signal, bool whole_group);

  /// For the way out: SIGKILL to everybody below us, a wait for their ends, and their last words.
  void end_all();

 private:
  struct Generation {
    std::uint32_t number = 0;
    pid_t pid = 0;  // The leader's, and the number of the group.
    bool exited = false;
    Instant since{};
  };

  void on_child_exit(pid_t pid, const reactor::ExitStatus& status);
  void on_notification(const reactor::Notification& notification);
  /// Tells of every group that is empty by now.
  void look_for_gone();
  [[nodiscard]] reactor::SpawnOptions spawn_options(const ServiceSocket& service, IpAddress advertised);
  Generation* find(std::uint32_t number);

  reactor::Loop& loop_;
  const config::Config& config_;
  Log& log_;
  WorkerHandler& handler_;
  reactor::Reaper reaper_;
  ReadyProbe ready_probe_;
  WorkerOutput output_;
  reactor::NotifySocket notify_;
  reactor::Timer group_timer_;
  InlineVector<Generation, kGenerationsMax> generations_;
  std::uint32_t watched_ = 0;
};

}  // namespace shoal::app
