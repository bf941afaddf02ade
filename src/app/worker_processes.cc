#include "app/worker_processes.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include "config/placeholders.h"

namespace shoal::app {
namespace {

// The end of a group is seen when its last process is waited for. The look in between is for one whose process group
// has been taken on by somebody who is no descendant of ours.
constexpr Duration kLookAtGroups = 100ms;
constexpr Duration kEndAllMost = 500ms;

bool group_is_empty(pid_t group) {
  const auto there = reactor::signal_group(group, 0);
  return !there.ok() && there.error().code == ESRCH;
}

}  // namespace

WorkerProcesses::WorkerProcesses(reactor::Loop& loop, const config::Config& config, ProcessLog& log, Rng rng,
                                 WorkerHandler& handler)
    : loop_(loop),
      config_(config),
      log_(log.log()),
      handler_(handler),
      reaper_(loop, [this](pid_t pid, const reactor::ExitStatus& status) { on_child_exit(pid, status); }),
      ready_probe_(loop, config, log_, rng, [this](task::ReadyBy by) { handler_.on_worker_ready(watched_, by); }),
      output_(loop, config.worker.log, log, kGenerationsMax),
      notify_(loop, [this](const reactor::Notification& n) { on_notification(n); }),
      group_timer_(loop, [this] { look_for_gone(); }) {}

Result<void> WorkerProcesses::open() {
  if (const auto adopted = reactor::become_subreaper(); !adopted.ok()) {
    log_.warn("processes that leave the worker's group may outlive this task",
              {{"reason", std::string_view(adopted.error().message)}});
  }
  const auto opened = notify_.open();
  if (!opened.ok()) return Error{opened.error().code, "cannot open a notify socket: " + opened.error().message};
  return {};
}

reactor::SpawnOptions WorkerProcesses::spawn_options(const ServiceSocket& service, IpAddress advertised) {
  const AddressText addr = to_text(advertised);
  const config::PlaceholderValues values{addr.view(), service.bound().port, task::kListenerFd};
  task::WorkerSurroundings around;
  around.addr = advertised;
  around.port = service.bound().port;
  around.notify_socket = notify_.name();
  std::size_t variables = 0;
  while (environ[variables] != nullptr) ++variables;
  around.parent_environment = {environ, variables};
  reactor::SpawnOptions options;
  for (const std::string& word : config_.worker.command) {
    options.argv.push_back(config::fill_placeholders(word, values));
  }
  around.socket_is_passed = service.is_passed();
  options.env = task::worker_environment(around);
  options.pass_fd = service.listener();
  return options;
}

void WorkerProcesses::start(std::uint32_t generation, ServiceSocket& service, IpAddress advertised) {
  reactor::SpawnOptions options = spawn_options(service, advertised);
  const WorkerOutput::Ends output = output_.open();
  options.stdout_fd = output.out.get();
  options.stderr_fd = output.err.get();
  service.before_worker();
  const auto spawned = reactor::spawn(options);
  if (!spawned.ok()) {
    const int code = reactor::exec_exit_code(spawned.error());
    log_.error(
        "the worker cannot be started; is worker.command right?",
        {{"command", options.argv[0]}, {"reason", std::string_view(spawned.error().message)}, {"exit_code", code}});
    return handler_.on_worker_not_started(generation, code);
  }
  // The oldest is one that SIGKILL did not end.
  if (generations_.full()) generations_.erase(0);
  generations_.push_back({generation, spawned.value(), false, loop_.now()});
  watched_ = generation;
  output_.started(spawned.value());
  log_.info("worker started", {{"pid", spawned.value()}, {"generation", generation}, {"command", options.argv[0]}});
  handler_.on_worker_started(generation, spawned.value());
  ready_probe_.worker_started(spawned.value(), service.listener(), service.bound(), generations_.size() > 1);
}

void WorkerProcesses::signal(std::uint32_t generation, int signal, bool whole_group) {
  const Generation* const found = find(generation);
  if (found == nullptr) return;
  // It may have died meanwhile; a leader that has been waited for may have lent its number to somebody else.
  if (whole_group) {
    static_cast<void>(reactor::signal_group(found->pid, signal));
  } else if (!found->exited) {
    static_cast<void>(reactor::signal_process(found->pid, signal));
  }
}

bool WorkerProcesses::any_runs() const {
  return std::any_of(generations_.begin(), generations_.end(), [](const Generation& g) { return !g.exited; });
}

void WorkerProcesses::fill_status(Instant now, std::uint32_t serving, bool is_ready, admin::TaskStatus& out) const {
  for (const Generation& generation : generations_) {
    if (generation.exited) continue;
    const bool is_serving = generation.number == serving;
    const std::string_view state = is_serving                    ? (is_ready ? "serving" : "running")
                                   : generation.number > serving ? "starting"
                                                                 : "ending";
    out.workers.push_back({generation.pid, generation.number, std::string(state), to_ms(now - generation.since)});
  }
}

void WorkerProcesses::end_all() {
  if (!reactor::end_all_children(kEndAllMost)) log_.warn("some process below this task has survived SIGKILL");
  output_.finish();
}

void WorkerProcesses::on_child_exit(pid_t pid, const reactor::ExitStatus& status) {
  auto* const found = std::find_if(generations_.begin(), generations_.end(),
                                   [&](const Generation& g) { return g.pid == pid && !g.exited; });
  if (found != generations_.end()) {
    found->exited = true;
    const std::uint32_t number = found->number;
    if (number == watched_) stop_watching();
    handler_.on_worker_exit(number, status);
  }
  look_for_gone();  // Any orphan may have been the last of a group.
}

void WorkerProcesses::look_for_gone() {
  std::array<std::uint32_t, kGenerationsMax> gone;
  std::size_t count = 0;
  for (std::size_t i = 0; i < generations_.size();) {
    if (generations_[i].exited && group_is_empty(generations_[i].pid)) {
      gone[count++] = generations_[i].number;
      generations_.erase(i);
    } else {
      ++i;
    }
  }
  const bool waiting =
      std::any_of(generations_.begin(), generations_.end(), [](const Generation& g) { return g.exited; });
  group_timer_.at(waiting ? loop_.now() + kLookAtGroups : kNever);
  for (std::size_t i = 0; i < count; ++i) handler_.on_worker_gone(gone[i]);
}

void WorkerProcesses::on_notification(const reactor::Notification& notification) {
  // Anybody in the network namespace can send; only the worker that is watched, and its group, are believed.
  const Generation* const watched = find(watched_);
  const pid_t sender = notification.sender_pid;
  if (watched == nullptr || sender <= 0 || (sender != watched->pid && getpgid(sender) != watched->pid)) return;
  if (notification.ready) ready_probe_.notify_ready();
}

WorkerProcesses::Generation* WorkerProcesses::find(std::uint32_t number) {
  for (Generation& generation : generations_) {
    if (generation.number == number) return &generation;
  }
  return nullptr;
}

}  // namespace shoal::app
