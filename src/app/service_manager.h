// shoal as a service: what a service manager is told (admin/service_notify.h), where there is one. Without
// NOTIFY_SOCKET every call does nothing. Nothing here is ever fatal.
#pragma once

#include <optional>
#include <string_view>
#include <utility>

#include "admin/service_notify.h"
#include "base/log.h"
#include "reactor/loop.h"
#include "reactor/notify_sender.h"

namespace shoal::app {

class ServiceManager {
 public:
  /// Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. They stay in the environment; what is started is not given
  /// them (task/worker_env.h).
  ServiceManager(reactor::Loop& loop, Log& log);

  void ready();
  void stopping();
  /// Nothing happens when it is empty, or the same as before.
  void status(std::string_view text);
  void reload_begins();
  /// Nothing happens when none has begun.
  void reload_ends();
  /// Of a reload that is done when `f` returns.
  template <typename F>
  void reload(F&& f) {
    reload_begins();
    std::forward<F>(f)();
    reload_ends();
  }

 private:
  void tell();

  reactor::Loop& loop_;
  Log& log_;
  reactor::NotifySender sender_;
  std::optional<admin::ServiceNotify> notify_;  // Empty: nobody wants to know.
  bool failure_told_ = false;
  bool is_reloading_ = false;
  reactor::Timer timer_;
};

}  // namespace shoal::app
