#include "app/service_manager.h"

#include <unistd.h>

#include <string>

#include "reactor/system.h"

namespace shoal::app {

ServiceManager::ServiceManager(reactor::Loop& loop, Log& log)
    : loop_(loop), log_(log), timer_(loop, [this] { tell(); }) {
  const auto name = reactor::environment_variable("NOTIFY_SOCKET");
  if (!name || name->empty()) return;
  if (const auto opened = sender_.open(std::string(*name)); !opened.ok()) {
    log_.warn("the service manager is not told how shoal is", {{"reason", opened.error().message}});
    return;
  }
  const auto watchdog = admin::watchdog_interval(reactor::environment_variable("WATCHDOG_USEC"),
                                                 reactor::environment_variable("WATCHDOG_PID"), ::getpid());
  notify_.emplace(watchdog, loop_.now());
  tell();
}

void ServiceManager::ready() {
  if (!notify_) return;
  notify_->on_ready();
  tell();
}

void ServiceManager::stopping() {
  if (!notify_) return;
  notify_->on_stopping();
  tell();
}

void ServiceManager::status(std::string_view text) {
  if (!notify_ || text.empty()) return;
  notify_->on_status(text);
  tell();
}

void ServiceManager::reload_begins() {
  if (!notify_) return;
  is_reloading_ = true;
  notify_->on_reload_begin(loop_.now());
  tell();
}

void ServiceManager::reload_ends() {
  if (!std::exchange(is_reloading_, false)) return;
  notify_->on_reload_end();
  tell();
}

void ServiceManager::tell() {
  for (std::string_view datagram; !(datagram = notify_->next(loop_.now())).empty();) {
    const Result<void> sent = sender_.send(datagram);
    if (!sent.ok() && !std::exchange(failure_told_, true))
      log_.warn("the service manager cannot be told how shoal is; tried again for ever",
                {{"reason", sent.error().message}});
    notify_->on_sent(loop_.now(), sent.ok());
  }
  timer_.at(notify_->next_deadline());
}

}  // namespace shoal::app
