// The environment that the worker is started with. Start-up code, before the worker exists. Its command line comes
// finished (config/placeholders.h); LISTEN_PID, which only the child itself can know, is added where it is forked
// (reactor/process.h).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/endpoint.h"

namespace shoal::task {

/// The worker's descriptor of the listening socket.
inline constexpr int kListenerFd = 3;

struct WorkerSurroundings {
  IpAddress addr;  // The address that peers reach.
  std::uint16_t port = 0;
  bool socket_is_passed = true;                     // Else the worker binds `port` itself, and gets no descriptor.
  std::string notify_socket;                        // Empty = none.
  std::span<const char* const> parent_environment;  // "KEY=value"; a terminating nullptr is not part of it.
};

/// What of our environment goes on to a program that we start: all but shoal's own settings (SHOAL_*: keys are among
/// them) and what a service manager meant for shoal itself (LISTEN_*, NOTIFY_SOCKET, WATCHDOG_*).
[[nodiscard]] std::vector<std::string> inherited_environment(std::span<const std::string_view> ours);

/// None of shoal's own settings (SHOAL_*), and nothing that service managers meant for shoal itself (LISTEN_*,
/// NOTIFY_SOCKET, WATCHDOG_*), goes on to the worker; all else does.
[[nodiscard]] std::vector<std::string> worker_environment(const WorkerSurroundings& surroundings);

}  // namespace shoal::task
