#include "app/proxy_process.h"

#include <algorithm>
#include <csignal>
#include <utility>

#include "base/check.h"
#include "reactor/process.h"
#include "reactor/process_info.h"

namespace shoal::app {
namespace {

/// The master above a worker, else the process itself.
pid_t master_of(pid_t pid) {
  const pid_t parent = reactor::parent_of(pid);
  return parent > 0 && reactor::same_program(parent, pid) ? parent : pid;
}

bool has_worker(pid_t pid) {
  const std::vector<pid_t> children = reactor::children_of(pid);
  return std::any_of(children.begin(), children.end(), [&](pid_t child) { return reactor::same_program(child, pid); });
}

}  // namespace

ProxyProcess::ProxyProcess(reactor::Loop& loop, const std::string& socket, Ended ended)
    : adopted_(loop, [this] { ended_(-1); }), ended_(std::move(ended)), mark_("SHOAL_SUPERVISED=" + socket) {}

Result<pid_t> ProxyProcess::start(const std::vector<std::string>& argv, std::vector<std::string> env) {
  SHOAL_ASSERT(pid() == 0);
  env.push_back(mark_);
  reactor::SpawnOptions options;
  options.argv = argv;
  options.env = std::move(env);
  options.die_with_parent = false;
  const Result<pid_t> spawned = reactor::spawn(options);
  if (spawned.ok()) group_ = child_ = spawned.value();
  return spawned;
}

bool ProxyProcess::adopt(pid_t answering) {
  SHOAL_ASSERT(pid() == 0);
  const pid_t master = master_of(answering);
  if (!adopted_.hold(master).ok()) return false;
  // Only now is it sure that all this is about the process that is held.
  if (reactor::was_given_variable(master, mark_) && master_of(answering) == master) {
    group_ = master;
    return true;
  }
  adopted_.release();
  return false;
}

bool ProxyProcess::on_child_exit(pid_t pid, const reactor::ExitStatus& status) {
  if (child_ == 0 || pid != child_) return false;
  child_ = 0;
  ended_(status.shell_code());
  return true;
}

void ProxyProcess::signal(int number) {
  // It may have ended meanwhile; that is told another way.
  if (child_ != 0) static_cast<void>(reactor::signal_process(child_, number));
  if (adopted_.is_held()) static_cast<void>(adopted_.signal(number));
  if (number == SIGKILL && group_ > 1) static_cast<void>(reactor::signal_group(group_, number));
}

bool ProxyProcess::reload() {
  if (!has_worker(pid())) return false;
  signal(SIGUSR2);
  return true;
}

void ProxyProcess::retire_group() {
  if (group_ > 1) static_cast<void>(reactor::signal_group(std::exchange(group_, 0), SIGUSR1));
}

bool ProxyProcess::leads_to(pid_t answering) const {
  return answering == pid() || (reactor::parent_of(answering) == pid() && reactor::same_program(answering, pid()));
}

}  // namespace shoal::app
